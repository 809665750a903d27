"""The opening handshake of RFC 6455 section 4.2, and the hand-over of the connection that aiohttp has read the request from."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from typing import Any, Final

from aiohttp import HttpVersion11, hdrs, web

_KEY_SUFFIX: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES: Final = 16
_VERSION: Final = "13"


def upgrade_answer(request: web.Request) -> bytes | None:
    """Return the answer that accepts an upgrade, without any extension or subprotocol; None: it is no upgrade."""
    headers = request.headers
    key = headers.get(hdrs.SEC_WEBSOCKET_KEY, "")
    wanted = (
        request.version >= HttpVersion11
        and headers.get(hdrs.UPGRADE, "").strip().lower() == "websocket"
        and "upgrade" in {token.strip().lower() for token in headers.get(hdrs.CONNECTION, "").split(",")}
        and headers.get(hdrs.SEC_WEBSOCKET_VERSION, "") == _VERSION
        and _is_key(key)
    )
    if not wanted:
        return None
    accept = base64.b64encode(hashlib.sha1(key.encode() + _KEY_SUFFIX, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
    )


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False


class _Tail:
    """Takes from aiohttp what it has read behind the request."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """Nothing more comes from aiohttp."""


def take_over(request: web.Request) -> tuple[asyncio.Transport, bytes] | None:
    """Take a connection from aiohttp, for which it is gone from now on: whatever it holds for it is freed.

    Returns:
        The transport, which needs a new protocol at once, and what came behind the request; None: the peer is gone.
    """
    protocol: Any = request.protocol
    transport: asyncio.Transport | None = protocol.transport
    if transport is None or transport.is_closing():
        return None
    tail = _Tail()
    protocol.set_parser(tail)
    protocol.transport = None
    protocol.connection_lost(None)
    return transport, tail.data


class TakenOver(web.Response):
    """What aiohttp is given as the answer to a request whose connection it has no more."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Send nothing."""
