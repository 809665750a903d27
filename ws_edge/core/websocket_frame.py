"""Server-to-client frames of RFC 6455 section 5.2; a text frame is built once and shared by every recipient."""

from __future__ import annotations

import struct
from typing import Final

_TEXT_FIN: Final = 0x81
_CLOSE_FIN: Final = 0x88
_PING_FIN: Final = 0x89
_PONG_FIN: Final = 0x8A
MAX_REASON_BYTES = 123
"""A control frame carries at most 125 bytes, two of which are the close code."""


def text_frame(payload: bytes) -> bytes:
    """Return `payload` (UTF-8) as one final, unmasked text frame."""
    size = len(payload)
    if size < 126:
        return b"%c%c%b" % (_TEXT_FIN, size, payload)
    if size < 65_536:
        return struct.pack("!BBH", _TEXT_FIN, 126, size) + payload
    return struct.pack("!BBQ", _TEXT_FIN, 127, size) + payload


def close_frame(code: int, reason: str) -> bytes:
    """Return a close frame (section 5.5.1); a reason over 123 bytes is cut at a character.

    Args:
        code: The close code.
        reason: For people.
    """
    text = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore").encode()
    return struct.pack("!BBH", _CLOSE_FIN, 2 + len(text), code) + text


PING_FRAME: Final = b"%c%c" % (_PING_FIN, 0)
"""A ping without a payload (section 5.5.2)."""


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a ping (section 5.5.3), with its payload of at most 125 bytes."""
    return b"%c%c%b" % (_PONG_FIN, len(payload), payload)
