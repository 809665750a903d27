"""Inputs that are a row of calls: each has a byte that says which, two of length, and the bytes of its request.

Lengths that say more than there is mean the rest, so that every input is a program and mutations stay programs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

MAX_CALLS: Final = 24


class Call(NamedTuple):
    """One call."""

    kind: int
    request: bytes


def calls_of(data: bytes) -> Iterator[Call]:
    """Yield the calls of an input."""
    for _ in range(MAX_CALLS):
        if len(data) < 3:
            return
        size = int.from_bytes(data[1:3], "big")
        yield Call(data[0], data[3 : 3 + size])
        data = data[3 + size :]


def program(calls: Iterable[tuple[int, bytes]]) -> bytes:
    """Return the input of calls."""
    return b"".join(bytes([kind]) + len(request).to_bytes(2, "big") + request for kind, request in calls)
