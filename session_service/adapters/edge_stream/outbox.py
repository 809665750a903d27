"""The queue of events for one edge: in order, bounded in bytes, taken in large pieces."""

from __future__ import annotations

import asyncio
import time
from typing import Final

MAX_RESPONSE_BYTES: Final = 1024 * 1024
"""An `AttachResponse` is not grown beyond this; one larger event still goes alone, and must fit into 4 MiB."""


class EdgeOutbox:
    """Gathers the framed events of a tick.

    Args:
        max_bytes: What may wait; beyond it the edge is cut off.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._events: list[bytes] = []
        self._bytes = 0
        self._taken_bytes = 0
        self._opened_s = time.monotonic()
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.overflowed = False
        self.closed = False

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were not written yet."""
        return self._bytes

    def age_s(self) -> float:
        """Return for how many seconds it has been there."""
        return time.monotonic() - self._opened_s

    def push(self, event: bytes) -> None:
        """Queue one framed event; never waits. After an overflow nothing is taken any more."""
        if self.overflowed or self.closed:
            return
        self._bytes += len(event)
        if self._bytes > self._max_bytes:
            self.overflowed = True
            self._events.clear()
            self._empty.set()
        else:
            self._events.append(event)
            self._empty.clear()
        self._wake.set()

    def close(self) -> None:
        """Let `take` end once everything is taken."""
        self.closed = True
        self._wake.set()
        self._empty.set()

    async def take(self) -> list[bytes]:
        """Wait for events, and return them as bodies of `AttachResponse`; none when the outbox is closed or overflowed.

        What was taken before counts as written.
        """
        self._bytes -= self._taken_bytes
        self._taken_bytes = 0
        while not self._events and not self.closed and not self.overflowed:
            self._empty.set()
            self._wake.clear()
            await self._wake.wait()
        events, self._events = self._events, []
        self._taken_bytes = self._bytes
        return _join(events)

    async def drained(self) -> None:
        """Wait until everything was taken, and what was taken before it was written."""
        await self._empty.wait()


def _join(events: list[bytes]) -> list[bytes]:
    bodies = []
    piece: list[bytes] = []
    size = 0
    for event in events:
        if piece and size + len(event) > MAX_RESPONSE_BYTES:
            bodies.append(b"".join(piece))
            piece, size = [], 0
        piece.append(event)
        size += len(event)
    if piece:
        bodies.append(b"".join(piece))
    return bodies
