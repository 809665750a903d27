"""Frames of a client, read the slow way: all bytes at once, one rule of RFC 6455 section 5 after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

End = Literal["", "malformed", "too big"]


@dataclass
class Reading:
    """Messages and control frames in order, and why reading ended before the bytes did; empty: it did not."""

    messages: list[tuple[int, bytes]] = field(default_factory=list)
    end: End = ""


def read_all(data: bytes, max_bytes: int) -> Reading:
    """Read everything that is whole.

    Args:
        data: What a client sent.
        max_bytes: The largest message.
    """
    found = Reading()
    whole: bytes | None = None  # of the message in fragments
    kind = 0
    while True:
        frame, end, data = _next_frame(data, max_bytes, whole)
        if end or frame is None:
            found.end = end
            return found
        final, opcode, payload = frame
        if opcode >= 8 or (opcode and final):
            found.messages.append((opcode, payload))
        else:
            if opcode:
                kind, whole = opcode, b""
            assert whole is not None
            whole += payload
            if final:
                found.messages.append((kind, whole))
                whole = None


def _next_frame(data: bytes, max_bytes: int, whole: bytes | None) -> tuple[tuple[bool, int, bytes] | None, End, bytes]:
    """Return a frame, why there will be none, and what comes behind it."""
    if len(data) < 2:
        return None, "", data
    bits = f"{data[0]:08b}"
    final, reserved, opcode = bits[0] == "1", bits[1:4], int(bits[4:], 2)
    if reserved != "000":  # section 5.2: no extension was negotiated
        return None, "malformed", data
    if data[1] < 128:  # section 5.1: a client must mask
        return None, "malformed", data
    short = data[1] - 128
    if opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):  # section 5.2: reserved
        return None, "malformed", data
    if opcode in (8, 9, 10) and (short > 125 or not final):  # section 5.5
        return None, "malformed", data
    if opcode == 0 and whole is None:  # section 5.4: goes on with nothing
        return None, "malformed", data
    if opcode in (1, 2) and whole is not None:  # section 5.4: begins in the middle
        return None, "malformed", data
    head = 2 + {126: 2, 127: 8}.get(short, 0)
    before = len(whole or b"")
    if len(data) < head:
        return None, "", data
    size = int.from_bytes(data[2:head], "big") if head > 2 else short
    if size < _least(short):  # section 5.2: the shortest form is a must
        return None, "malformed", data
    if opcode < 8 and before + size > max_bytes:
        return None, "too big", data
    if len(data) < head + 4 + size:
        return None, "", data
    mask, masked = data[head : head + 4], data[head + 4 : head + 4 + size]
    payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(masked))
    return (final, opcode, payload), "", data[head + 4 + size :]


def _least(short: int) -> int:
    return {126: 126, 127: 65_536}.get(short, short)
