"""Server-to-client text frames of RFC 6455 section 5.2, built once and shared by every recipient."""

from __future__ import annotations

import struct

_TEXT_FIN = 0x81


def text_frame(payload: bytes) -> bytes:
    """Return `payload` (UTF-8) as one final, unmasked text frame."""
    size = len(payload)
    if size < 126:
        return b"%c%c%b" % (_TEXT_FIN, size, payload)
    if size < 65_536:
        return struct.pack("!BBH", _TEXT_FIN, 126, size) + payload
    return struct.pack("!BBQ", _TEXT_FIN, 127, size) + payload
