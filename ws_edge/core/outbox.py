"""Outboxes: what waits for each connection, written once per tick as one write, bounded by what the client has not taken.

The invariant: after `OutboxFlusher.flush`, no outbox holds anything, and every connection whose unsent bytes were over its
bound has been reported as slow instead of written to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ws_edge.core.ports import ByteSink


class Outbox:
    """Frames that wait for one connection.

    Args:
        sink: Where they go.
        bound: Unsent bytes at which the client is too slow.
        on_slow: Called once when that happens.
        flusher: Gathers the outboxes of a tick.
    """

    __slots__ = ("_allowance", "_bound", "_flusher", "_on_slow", "_queue", "_sink", "closed")

    def __init__(self, sink: ByteSink, bound: int, on_slow: Callable[[], None], flusher: OutboxFlusher) -> None:
        self._sink = sink
        self._bound = bound
        self._on_slow = on_slow
        self._flusher = flusher
        self._queue: list[bytes] = []
        self._allowance = 0
        self.closed = False

    def put(self, wire_frame: bytes) -> None:
        """Queue a WebSocket frame for this tick's write. After `close` it is dropped."""
        if self.closed:
            return
        if not self._queue:
            self._flusher.add(self)
        self._queue.append(wire_frame)

    def put_replay(self, wire_frames: list[bytes]) -> None:
        """Queue what the client asked for of the past: it does not count against the bound until it is taken."""
        self._allowance += sum(map(len, wire_frames))
        for wire_frame in wire_frames:
            self.put(wire_frame)

    def flush(self) -> None:
        """Write what waits, unless the client is too slow."""
        queue, self._queue = self._queue, []
        if self.closed or not queue:
            return
        data = queue[0] if len(queue) == 1 else b"".join(queue)
        unsent = self._sink.unsent_bytes()
        if not unsent:
            self._sink.write(data)
            if self._allowance and not self._sink.unsent_bytes():
                self._allowance = 0
        elif unsent + len(data) > self._bound + self._allowance:
            self._on_slow()
        else:
            self._sink.write(data)

    def close(self, last: bytes, code: int, reason: str) -> None:
        """Write what waits, one last frame, and the close frame, whatever the bound says; nothing follows.

        Args:
            last: The last frame.
            code: The close code.
            reason: For people.
        """
        if self.closed:
            return
        self._sink.close(b"".join([*self._queue, last]), code, reason)
        self._queue = []
        self.closed = True

    def abandon(self) -> None:
        """Forget what waits: the peer is gone."""
        self._queue = []
        self.closed = True


class Ticker(Protocol):
    """Calls back at the end of this turn of the event loop."""

    def __call__(self, callback: Callable[[], None], /) -> object:
        """Arrange for one call of `callback`."""


class OutboxFlusher:
    """Flushes all outboxes that were written to in a tick, in one pass.

    Args:
        call_soon: The event loop's `call_soon`.
    """

    __slots__ = ("_call_soon", "_dirty")

    def __init__(self, call_soon: Ticker) -> None:
        self._call_soon = call_soon
        self._dirty: list[Outbox] = []

    def add(self, outbox: Outbox) -> None:
        """Note that an outbox has something to write."""
        if not self._dirty:
            self._call_soon(self.flush)
        self._dirty.append(outbox)

    def flush(self) -> None:
        """Write all that waits."""
        dirty, self._dirty = self._dirty, []
        for outbox in dirty:
            outbox.flush()
