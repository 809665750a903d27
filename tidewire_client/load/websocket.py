"""The client's side of RFC 6455, as bytes in and bytes out: just what an edge and the proxies before it need, and cheap.

The mask of each frame is zero, which leaves the payload as it is: the frame is legal, and the load process need not touch it.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import struct
from typing import Final

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_CONTINUATION: Final = 0
_FINAL: Final = 0x80
_ACCEPT_SUFFIX: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
MAX_HEAD_BYTES: Final = 16 * 1024
NO_CODE: Final = 1005


class WebSocketFault(Exception):
    """What comes is no WebSocket; the text says why, in a few words."""


class UpgradeRefused(Exception):
    """The server does not upgrade the connection.

    Args:
        status: Of its HTTP answer.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"HTTP {status}")


def new_key() -> str:
    """Return a `Sec-WebSocket-Key`."""
    return base64.b64encode(secrets.token_bytes(16)).decode()


def upgrade_request(host: str, path: str, key: str) -> bytes:
    """Return the opening handshake (RFC 6455 section 4.1).

    Args:
        host: For the header `Host`.
        path: Of the URL.
        key: From `new_key`.
    """
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nUser-Agent: tidewire-load\r\n\r\n"
    ).encode()


def check_upgrade(head: bytes, key: str) -> None:
    """Check the server's answer, without the empty line at its end.

    Raises:
        UpgradeRefused: It is another HTTP answer.
        WebSocketFault: It is none, or the answer to another key.
    """
    first, *lines = head.split(b"\r\n")
    parts = first.split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
        raise WebSocketFault("no HTTP there")
    if parts[1] != b"101":
        raise UpgradeRefused(int(parts[1]))
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    wanted = base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT_SUFFIX, usedforsecurity=False).digest())
    if fields.get(b"sec-websocket-accept") != wanted:
        raise WebSocketFault("the upgrade is not confirmed")


def client_frame(opcode: int, payload: bytes) -> bytes:
    """Return a final frame of a client."""
    size = len(payload)
    if size < 126:
        return bytes((_FINAL | opcode, 0x80 | size, 0, 0, 0, 0)) + payload
    if size < 65_536:
        return struct.pack(">BBHI", _FINAL | opcode, 0xFE, size, 0) + payload
    return struct.pack(">BBQI", _FINAL | opcode, 0xFF, size, 0) + payload


def close_frame(code: int) -> bytes:
    """Return a close frame of a client."""
    return client_frame(CLOSE, struct.pack(">H", code))


def close_code(payload: bytes) -> int:
    """Return the code of a close frame's payload; `NO_CODE`: it has none."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else NO_CODE


class FrameReader:
    """Makes messages and control frames out of what a server sends (RFC 6455 section 5)."""

    __slots__ = ("_buffer", "_opcode", "_parts", "_size")

    def __init__(self) -> None:
        self._buffer = b""
        self._parts: list[bytes] = []
        self._opcode = 0
        self._size = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take in bytes; return the messages and control frames that are complete now, each with its opcode.

        Raises:
            WebSocketFault: A frame breaks a rule, or a message is too large.
        """
        if self._buffer:
            data = self._buffer + data
        found: list[tuple[int, bytes]] = []
        at, end = 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                wide = 2 if size == 126 else 8
                if end - start < wide:
                    break
                size, start = int.from_bytes(data[start : start + wide], "big"), start + wide
                if size > MAX_MESSAGE_BYTES:
                    raise WebSocketFault("a masked frame, or one that is too large")
            if end - start < size:
                break
            first, payload = data[at], data[start : start + size]
            at = start + size
            if first == _FINAL | TEXT and not self._opcode:
                found.append((TEXT, payload))
            else:
                self._take(first, payload, found)
        self._buffer = data[at:]
        return found

    def _take(self, first: int, payload: bytes, found: list[tuple[int, bytes]]) -> None:
        """Take in what is not simply one text message in one frame."""
        opcode, final = first & 0x0F, bool(first & _FINAL)
        if first & 0x70:
            raise WebSocketFault("a reserved bit is set")
        if opcode >= CLOSE:
            if not final or opcode > PONG:
                raise WebSocketFault("a control frame of no known kind")
            found.append((opcode, payload))
            return
        if opcode > BINARY or (opcode == _CONTINUATION) != bool(self._opcode):
            raise WebSocketFault("a frame out of its order")
        self._opcode = self._opcode or opcode
        self._parts.append(payload)
        self._size += len(payload)
        if self._size > MAX_MESSAGE_BYTES:
            raise WebSocketFault("too large a message")
        if final:
            found.append((self._opcode, b"".join(self._parts)))
            self._parts, self._opcode, self._size = [], 0, 0
