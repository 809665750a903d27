"""One WebSocket connection to an edge, as a protocol of asyncio: no task, no future, no copy that can be saved."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol, cast

from tidewire_client.load.websocket import (
    CLOSE,
    MAX_HEAD_BYTES,
    PING,
    PONG,
    TEXT,
    FrameReader,
    UpgradeRefused,
    WebSocketFault,
    check_upgrade,
    client_frame,
    close_code,
    close_frame,
    new_key,
    upgrade_request,
)

NORMAL: Final = 1000


@dataclass(frozen=True, slots=True)
class Ended:
    """How a connection ended.

    Attributes:
        why: In a few words.
        close_code: Of the server's close frame; None: it broke off, or was never a WebSocket.
        http_status: With which the upgrade was refused; None: it was not.
    """

    why: str
    close_code: int | None = None
    http_status: int | None = None


class Owner(Protocol):
    """Whose connection it is."""

    def opened(self) -> None:
        """The connection is upgraded."""

    def received(self, text: bytes) -> None:
        """A text message came."""

    def ended(self, how: Ended) -> None:
        """Nothing comes any more; called once."""


class EdgeSocket(asyncio.Protocol):
    """A connection.

    Args:
        owner: Told what happens.
        host: For the header `Host`.
        path: Of the WebSocket.
    """

    __slots__ = ("_head", "_host", "_how", "_key", "_owner", "_path", "_reader", "_transport")

    def __init__(self, owner: Owner, host: str, path: str) -> None:
        self._owner = owner
        self._host = host
        self._path = path
        self._key = new_key()
        self._head: bytes | None = b""
        self._reader = FrameReader()
        self._how: Ended | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        # uvloop's transports are no subclass of it, and do the same.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(upgrade_request(self._host, self._path, self._key))

    def data_received(self, data: bytes) -> None:
        """Take in what has come."""
        if self._how is not None:
            return
        try:
            if self._head is not None:
                rest = self._upgrade(data)
                if rest is None:
                    return
                data = rest
            for opcode, payload in self._reader.feed(data):
                if opcode == TEXT:
                    self._owner.received(payload)
                elif opcode == PING:
                    self._write(client_frame(PONG, payload))
                elif opcode == CLOSE:
                    self._close(Ended(f"closed with {close_code(payload)}", close_code=close_code(payload)), payload)
                    return
        except UpgradeRefused as refused:
            self._fail(Ended(f"the upgrade is refused: HTTP {refused.status}", http_status=refused.status))
        except WebSocketFault as fault:
            self._fail(Ended(str(fault)))

    def _upgrade(self, data: bytes) -> bytes | None:
        head, end, rest = ((self._head or b"") + data).partition(b"\r\n\r\n")
        if not end:
            self._head = head
            if len(head) > MAX_HEAD_BYTES:
                raise WebSocketFault("no HTTP there")
            return None
        check_upgrade(head, self._key)
        self._head = None
        self._owner.opened()
        return rest

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner."""
        self._transport = None
        self._end(Ended("the connection broke off"))

    def send(self, text: bytes) -> None:
        """Send a text message; nothing happens when the connection has ended."""
        self._write(client_frame(TEXT, text))

    def close(self) -> None:
        """Say goodbye; the server closes."""
        self._write(close_frame(NORMAL))

    def cut(self) -> None:
        """End it without a word."""
        self._fail(Ended("cut by the load"))

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _close(self, how: Ended, payload: bytes) -> None:
        self._write(client_frame(CLOSE, payload[:2]))
        if self._transport is not None:
            self._transport.close()
        self._end(how)

    def _fail(self, how: Ended) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._end(how)

    def _end(self, how: Ended) -> None:
        if self._how is None:
            self._how = how
            self._owner.ended(how)
