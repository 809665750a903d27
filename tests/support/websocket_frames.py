"""Frames of RFC 6455 section 5.2, as a client makes and reads them."""

from __future__ import annotations

import asyncio

MASK = b"\x37\xfa\x21\x3d"


def client_frame(opcode: int, payload: bytes = b"", *, final: bool = True, mask: bytes = MASK) -> bytes:
    """Return a masked frame in the shortest form."""
    size = len(payload)
    first = bytes([opcode | (0x80 if final else 0)])
    if size < 126:
        head = first + bytes([0x80 | size])
    elif size < 65_536:
        head = first + bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head = first + bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return opcode and payload of the next frame of a server: final, not masked, no reserved bit."""
    first, size = await reader.readexactly(2)
    assert first & 0xF0 == 0x80
    assert not size & 0x80
    if size >= 126:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    return first & 0x0F, await reader.readexactly(size)
