"""Tells watchers of every key change, in order, from the store's change log.

One task reads the log: at once after a change made here, when the next key expires, and every `poll_s` for changes
made by other processes. What it read goes to the cache of records first, then to the watchers.
A checkpoint is a promise that the log was read up to it: while the store does not answer there is none, so
that watchers notice.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from auth_service.adapters import metrics
from auth_service.adapters.store_cached import CachedKeyStore
from auth_service.core.errors import LimitExceededError, RevisionGoneError, StoreUnavailableError
from auth_service.core.ports import Change, now_ms
from service_runtime.clock import Clock
from service_runtime.logs import get_logger

# Changes read from the log at once.
BATCH: Final = 500
# The least time between two looks at the log that nobody asked for: the clock may run a little behind a timer.
MIN_WAIT_S: Final = 0.001

log = get_logger("auth_service.watch")


@dataclass(frozen=True, slots=True)
class Reached:
    """Every change up to this revision was told."""

    revision: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The watcher missed something; the last event of its stream."""

    reason: str


Event = Change | Reached | Lost


class Watcher:
    """The bounded queue of one watcher.

    Args:
        size: changes that may wait; with one more, the watcher is lost.
        actor: who watches, as the audit log names callers.
        since_s: when it came, in seconds of a clock that never goes back.
    """

    def __init__(self, size: int, actor: str = "", since_s: float = 0.0) -> None:
        self.actor = actor
        self.since_s = since_s
        self._size = size
        self._changes: deque[Change] = deque()
        self._reached: Reached | None = None
        self._end: Lost | None = None
        self._ended = False
        self._news = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Changes that were not taken yet."""
        return len(self._changes)

    def tell(self, change: Change) -> None:
        """Queue a change."""
        if len(self._changes) >= self._size:
            metrics.RESYNCS.labels("slow").inc()
            self.lose(f"the watcher is slow: {self._size} changes were waiting")
        elif not self._ended:
            self._changes.append(change)
            self._news.set()

    def reach(self, revision: int) -> None:
        """Queue a checkpoint; one that still waits is replaced."""
        self._reached = Reached(revision)
        self._news.set()

    def lose(self, reason: str) -> None:
        """End the stream: something was missed."""
        if not self._ended:
            self._end = Lost(reason)
        self.end()

    def end(self) -> None:
        """End the stream; what waits in the queue is dropped."""
        self._ended = True
        self._changes.clear()
        self._news.set()

    async def next(self) -> Event | None:
        """Return the next event; None when the stream is over."""
        while True:
            if self._ended:
                last, self._end = self._end, None
                return last
            if self._changes:
                return self._changes.popleft()
            if self._reached is not None:
                reached, self._reached = self._reached, None
                return reached
            self._news.clear()
            await self._news.wait()


class WatchHub:
    """Reads the change log and tells watchers.

    Attributes:
        watchers: the streams that are open, by numbers that grow.

    Args:
        store: whose log is read, and whose cache is kept true.
        clock: the present moment.
        checkpoint_s: seconds between checkpoints.
        queue_size: changes that may wait for one watcher.
        max_watchers: streams that may be open at once.
        stale_after_s: without a look at the log for so long, cached records are dropped.
        poll_s: seconds between looks for changes of other processes; None: as between checkpoints.
    """

    def __init__(
        self,
        store: CachedKeyStore,
        clock: Clock,
        *,
        checkpoint_s: float,
        queue_size: int,
        max_watchers: int,
        stale_after_s: float,
        poll_s: float | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._checkpoint_s = checkpoint_s
        self._poll_s = checkpoint_s if poll_s is None else poll_s
        self._queue_size = queue_size
        self._max_watchers = max_watchers
        self._stale_after_s = stale_after_s
        self._seen = 0
        self.watchers: dict[int, Watcher] = {}
        self._numbers = itertools.count(1)
        self._wake = asyncio.Event()
        self._looked = asyncio.Condition()
        self._looked_at = clock.monotonic()

    def seen_revision(self) -> int:
        """Return the revision up to which every change was seen here."""
        return self._seen

    def silence_s(self) -> float:
        """Return the seconds since the log was last read to its end."""
        return self._clock.monotonic() - self._looked_at

    def wake(self) -> None:
        """Read the log now: a change was made."""
        self._wake.set()

    async def prepare(self) -> None:
        """Find out where the log is; to be awaited once, before `run`."""
        self._seen = await self._store.revision()
        self._looked_at = self._clock.monotonic()

    async def run(self) -> None:
        """Read the log and tell watchers, until cancelled."""
        next_checkpoint = self._clock.monotonic() + self._checkpoint_s
        while True:
            self._wake.clear()
            wait_s = self._poll_s
            try:
                wait_s = min(wait_s, await self._look())
            except StoreUnavailableError:
                wait_s = self._checkpoint_s
                self._doubt()
            else:
                async with self._looked:
                    self._looked.notify_all()
                if self._clock.monotonic() >= next_checkpoint:
                    next_checkpoint = self._clock.monotonic() + self._checkpoint_s
                    for watcher in self.watchers.values():
                        watcher.reach(self._seen)
                wait_s = min(wait_s, next_checkpoint - self._clock.monotonic())
            try:
                # Not `wait_for`: Python 3.11's loses a cancellation that comes together with what is waited for.
                async with asyncio.timeout(max(wait_s, MIN_WAIT_S)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def close(self) -> None:
        """End every stream."""
        for watcher in self.watchers.values():
            watcher.end()

    async def follow(self, from_revision: int, actor: str = "") -> AsyncGenerator[Event, None]:
        """Yield what a watcher is told: where the log is, what it missed, then what happens, until it is lost.

        Args:
            from_revision: changes after it; 0: from now on.
            actor: who watches, as the audit log names callers.

        Raises:
            LimitExceededError: too many watchers.
        """
        with self._watching(actor) as watcher:
            current = await self._caught_up()
            if from_revision:
                try:
                    missed = await self._missed(from_revision, current)
                except RevisionGoneError as error:
                    metrics.RESYNCS.labels("revision").inc()
                    yield Reached(current)
                    yield Lost(str(error))
                    return
                current = max(current, from_revision)
                yield Reached(current)
                for change in missed:
                    yield change
            yield Reached(current)
            while (event := await watcher.next()) is not None:
                if not isinstance(event, Change) or event.revision > current:
                    yield event

    async def _caught_up(self) -> int:
        """Return where the log is, when this process has seen all of it; where it was seen last, if that takes long."""
        try:
            async with asyncio.timeout(self._checkpoint_s):
                current = await self._store.revision()
                if current > self._seen:
                    self.wake()
                    async with self._looked:
                        await self._looked.wait_for(lambda: self._seen >= current)
        except (TimeoutError, StoreUnavailableError):
            log.warning("a watcher begins before the log of changes could be read to its end")
        return self._seen

    async def _missed(self, after: int, until: int) -> list[Change]:
        missed = list(await self._store.changes_since(after, self._queue_size + 1))
        if len(missed) > self._queue_size:
            raise RevisionGoneError(after, f"more than {self._queue_size} changes were missed")
        return [change for change in missed if change.revision <= until]

    @contextmanager
    def _watching(self, actor: str) -> Iterator[Watcher]:
        if len(self.watchers) >= self._max_watchers:
            raise LimitExceededError(f"{self._max_watchers} watchers are connected; no more are allowed")
        number = next(self._numbers)
        watcher = self.watchers[number] = Watcher(self._queue_size, actor, self._clock.monotonic())
        metrics.WATCHERS.set(len(self.watchers))
        try:
            yield watcher
        finally:
            del self.watchers[number]
            metrics.WATCHERS.set(len(self.watchers))

    async def _look(self) -> float:
        """Read the log to its end; return the seconds until the next key expires."""
        next_expiry_ms = await self._store.record_expiries(now_ms(self._clock))
        try:
            while changes := await self._store.changes_since(self._seen, BATCH):
                self._tell(list(changes))
        except RevisionGoneError as error:
            await self._start_over(error)
        self._looked_at = self._clock.monotonic()
        if next_expiry_ms is None:
            return self._checkpoint_s
        return next_expiry_ms / 1000 - self._clock.now()

    def _tell(self, changes: list[Change]) -> None:
        for change in changes:
            self._store.forget(change.key_id)
            self._seen = change.revision
            for watcher in self.watchers.values():
                watcher.tell(change)
        metrics.CHANGES.inc(len(changes))

    async def _start_over(self, error: RevisionGoneError) -> None:
        log.warning("the change log was cut or replaced; all watchers must resync", error=str(error))
        self._store.forget_all()
        for watcher in self.watchers.values():
            metrics.RESYNCS.labels("log").inc()
            watcher.lose("the log of changes was cut or replaced")
        self._seen = await self._store.revision()

    def _doubt(self) -> None:
        if self._clock.monotonic() - self._looked_at > self._stale_after_s:
            self._store.forget_all()
