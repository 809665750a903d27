"""Outboxes: what waits for each connection, written once per tick as one write, bounded by what the client has not taken.

What waits is a list of runs. A run is a list of frames that follow each other; the frames that a topic gets in one tick are
one run, which every member's outbox holds, so that a further message of the topic costs nothing for each member, and the run
is joined once for all of them.

The invariant: after `OutboxFlusher.flush`, no outbox holds anything, and every connection whose unsent bytes were over its
bound has been reported as slow instead of written to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from ws_edge.core.limits import MAX_REPLAY_BYTES
from ws_edge.core.ports import ByteSink
from ws_edge.core.stats import EdgeStats

Run: TypeAlias = list[bytes]


class Outbox:
    """Frames that wait for one connection.

    Args:
        number: Of the connection.
        sink: Where they go.
        bound: Unsent bytes at which the client is too slow.
        flusher: Gathers the outboxes of a tick.
    """

    __slots__ = ("_allowance", "_bound", "_flusher", "_more", "_number", "_run", "_sink", "closed")

    def __init__(self, number: int, sink: ByteSink, bound: int, flusher: OutboxFlusher) -> None:
        self._number = number
        self._sink = sink
        self._bound = bound
        self._flusher = flusher
        # Mostly it is one run that waits.
        self._run: Run | None = None
        self._more: list[Run] | None = None
        self._allowance = 0
        self.closed = False

    def put(self, wire_frame: bytes) -> None:
        """Queue a WebSocket frame for this tick's write. After `close` it is dropped."""
        self._count(1, len(wire_frame))
        self.put_run([wire_frame])

    def put_run(self, run: Run) -> None:
        """Queue frames for this tick's write, and those that are added to the run until then. After `close`: dropped."""
        if self._run is None:
            if not self.closed:
                self._run = run
                self._flusher.add(self)
        elif self._more is None:
            self._more = [run]
        else:
            self._more.append(run)

    def put_replay(self, wire_frames: Run) -> None:
        """Queue what the client asked for: it does not count against the bound until it is taken.

        That holds up to a bound of its own: else a client that asks and asks, and reads nothing, could fill the memory.
        """
        size = sum(map(len, wire_frames))
        self._count(len(wire_frames), size)
        self._allowance = min(self._allowance + size, self._flusher.replay_bound)
        self.put_run(wire_frames)

    @property
    def unsent(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._sink.unsent

    def _count(self, frames: int, size: int) -> None:
        stats = self._flusher.stats
        stats.frames_to_one += frames
        stats.bytes_out += size

    def flush(self) -> None:
        """Write what waits, unless the client is too slow."""
        run = self._run
        if run is None:
            return
        data = run[0] if self._more is None and len(run) == 1 else self._waiting()
        self._run = self._more = None
        unsent = self._sink.write(data, self._bound + self._allowance)
        if unsent < 0:
            self._flusher.on_slow(self._number)
        elif self._allowance and not unsent:
            self._allowance = 0

    def _waiting(self) -> bytes:
        """Return all that waits."""
        first = () if self._run is None else (self._run,)
        return b"".join(map(joined, (*first, *(self._more or ()))))

    def close(self, last: bytes, code: int, reason: str) -> None:
        """Write what waits, one last frame, and the close frame, whatever the bound says; nothing follows.

        Args:
            last: The last frame.
            code: The close code.
            reason: For people.
        """
        if self.closed:
            return
        data = self._waiting() + last
        self._count(1, len(last))
        self.abandon()
        self._sink.close(data, code, reason)

    def abandon(self) -> None:
        """Forget what waits: the peer is gone."""
        self._run = self._more = None
        self.closed = True


def joined(run: Run) -> bytes:
    """Return the bytes of a run, which are put together once for all who hold it."""
    if len(run) > 1:
        run[:] = [b"".join(run)]
    return run[0]


class Ticker(Protocol):
    """Calls back at the end of this turn of the event loop."""

    def __call__(self, callback: Callable[[], None], /) -> object:
        """Arrange for one call of `callback`."""


class OutboxFlusher:
    """Flushes all outboxes that were written to in a tick, in one pass.

    Attributes:
        tick: The number of this tick: runs that were begun in an earlier one are not added to.
        on_slow: Called with the number of a connection that is too slow.
        replay_bound: Unread bytes that a client asked for, at which it is too slow all the same, beside its bound.
        stats: Where frames for one client are counted.

    Args:
        call_soon: The event loop's `call_soon`.
        on_slow: See above.
        stats: See above.
        replay_bound: See above.
    """

    __slots__ = ("_call_soon", "_dirty", "on_slow", "replay_bound", "stats", "tick")

    def __init__(
        self, call_soon: Ticker, on_slow: Callable[[int], None], stats: EdgeStats, replay_bound: int = MAX_REPLAY_BYTES
    ) -> None:
        self._call_soon = call_soon
        self._dirty: list[Outbox] = []
        self.on_slow = on_slow
        self.replay_bound = replay_bound
        self.stats = stats
        self.tick = 0

    def add(self, outbox: Outbox) -> None:
        """Note that an outbox has something to write."""
        if not self._dirty:
            self._call_soon(self.flush)
        self._dirty.append(outbox)

    def flush(self) -> None:
        """Write all that waits."""
        dirty, self._dirty = self._dirty, []
        self.tick += 1
        for outbox in dirty:
            outbox.flush()
