"""Bodies of HTTP requests, and those that never become one: a fault of whoever sends them, and no defect of ours."""

from __future__ import annotations

from aiohttp import web
from aiohttp.http import HttpProcessingError


class UnreadableBody(Exception):
    """What came is not what its headers say, or the peer went in the middle of it."""


async def read_body(request: web.Request) -> bytes:
    """Return the body of a request.

    Raises:
        UnreadableBody: It cannot be read: its chunks or its compression are broken (RFC 9112 section 7), or it ended early.
        HTTPRequestEntityTooLarge: It is larger than the server takes.
    """
    try:
        return await request.read()
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
        # Not with its cause: aiohttp quotes what it cannot read, and that may hold a key.
        raise UnreadableBody("it is not what the headers say, or it ended early") from None
