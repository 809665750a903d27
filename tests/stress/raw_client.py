"""A client of the wire protocol that costs next to nothing, for tests that need thousands of them.

It speaks as much of RFC 6455 as the edge does: whole frames, no extension. What a frame means is for the test.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import socket
from collections.abc import Callable
from typing import Any, cast

import msgspec

from benchmarks.harness.socket_load import CLOSE, PING, PONG, TEXT, client_frame

OPEN_DEADLINE_S = 30.0
_HEADER = 2
_WIDE = 126


class ServerFrame(msgspec.Struct):
    """One frame of the server (protocol.md, "The envelope")."""

    type: str
    raw_data: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"null"), name="data")
    id: str = ""
    channel: str = ""
    epoch: str = ""
    offset: int = 0

    @property
    def data(self) -> Any:
        """Its `data`, which is decoded when somebody wants it: of most messages nobody does."""
        return msgspec.json.decode(self.raw_data)


_decode = msgspec.json.Decoder(ServerFrame).decode
OnFrame = Callable[["RawClient", ServerFrame], None]
OnEnd = Callable[["RawClient"], None]


class RawClient(asyncio.Protocol):
    """One connection; `open` makes it.

    Attributes:
        close_code: Of the close frame that the server sent; None: none came.
        ended: The connection is over.
        writable: The kernel takes what is sent.
    """

    def __init__(self, client_id: str, on_frame: OnFrame, on_end: OnEnd) -> None:
        self.client_id = client_id
        self.close_code: int | None = None
        self.ended = False
        self.writable = True
        self.upgraded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_frame = on_frame
        self._on_end = on_end
        self._rest = b""
        self._transport: asyncio.Transport

    @classmethod
    async def open(
        cls,
        address: str,
        client_id: str,
        on_frame: OnFrame,
        on_end: OnEnd = lambda _: None,
        *,
        receive_buffer: int = 0,
    ) -> RawClient:
        """Connect, and return when the upgrade is accepted.

        Args:
            address: `host:port` of the edge.
            client_id: For the URL.
            on_frame: Called with each frame.
            on_end: Called once, when the connection is over.
            receive_buffer: Bytes that the kernel holds for it (SO_RCVBUF); 0: as many as it likes.

        Raises:
            OSError: There is no connection, or no upgrade.
        """
        host, port = address.split(":")
        loop = asyncio.get_running_loop()
        plain = socket.socket()
        try:
            plain.setblocking(False)
            if receive_buffer:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            await loop.sock_connect(plain, (host, int(port)))
        except BaseException:
            plain.close()
            raise
        _, client = await loop.create_connection(lambda: cls(client_id, on_frame, on_end), sock=plain)
        try:
            async with asyncio.timeout(OPEN_DEADLINE_S):
                await client.upgraded
        except BaseException:
            client.drop()
            raise
        return client

    # What goes out.

    def send(self, frame_type: str, data: Any = None, **envelope: Any) -> None:
        """Send one frame."""
        frame = {"type": frame_type, **envelope}
        if data is not None:
            frame["data"] = data
        self.send_text(json.dumps(frame, separators=(",", ":")).encode())

    def send_text(self, text: bytes) -> None:
        """Send one text message of up to 64 KiB."""
        if not self.ended and not self._transport.is_closing():
            self._transport.write(client_frame(TEXT, text))

    def connect(self, api_key: str, workspace: str, **more: Any) -> None:
        """Send `connect`."""
        data = {"api_key": api_key, "connection_type": "chat", "domain": "tests", "workspace": workspace, **more}
        self.send("connect", data, id="connect")

    def pause(self) -> None:
        """Read nothing any more."""
        if not self.ended:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if not self.ended:
            self._transport.resume_reading()

    def drop(self) -> None:
        """End it without a word."""
        self._transport.abort()

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        self._transport.write(
            f"GET /client_{self.client_id} HTTP/1.1\r\nHost: stress\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def pause_writing(self) -> None:
        """Note that nothing more should be sent for now."""
        self.writable = False

    def resume_writing(self) -> None:
        """Note that more may be sent."""
        self.writable = True

    def data_received(self, data: bytes) -> None:
        """Take in what has come, frame by frame."""
        data = self._rest + data
        start, size = 0 if self.upgraded.done() else self._upgrade(data), len(data)
        if start < 0:
            self._rest = data
            return
        while not self.ended and size - start >= _HEADER:
            length, payload = data[start + 1], start + _HEADER
            if length >= _WIDE:
                payload += 2 if length == _WIDE else 8
                length = int.from_bytes(data[start + _HEADER : payload], "big") if payload <= size else size
            if payload + length > size:
                break
            opcode, start = data[start] & 0x0F, payload + length
            self._take(opcode, data[payload:start])
        self._rest = data[start:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell of the end."""
        self.ended = True
        if not self.upgraded.done():
            self.upgraded.set_exception(ConnectionError(f"no upgrade: {exc}"))
        self._on_end(self)

    def _upgrade(self, data: bytes) -> int:
        """Return where the answer to the upgrade ends; -1: it is not there yet, or is a no."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return -1
        status = data[:end].split(b"\r\n", 1)[0]
        if b" 101 " not in status:
            self.upgraded.set_exception(ConnectionError(status.decode()))
            self._transport.abort()
            return -1
        self.upgraded.set_result(None)
        return end + 4

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            self._on_frame(self, _decode(payload))
        elif opcode == PING:
            self._transport.write(client_frame(PONG, payload))
        elif opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big") if payload else None
            self._transport.write(client_frame(CLOSE, payload[:2]))
            self._transport.close()
