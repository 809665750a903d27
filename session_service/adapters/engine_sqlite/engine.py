"""The embedded engine: one SQLite file, one writer thread, one reader thread.

What a tick of the event loop appends is handed over together; what comes while a commit runs makes the next group. Answers
come back with one call into the loop a group. The listener's subscriptions live on the loop's side: since answers come in
the order of the ops, what stands behind a `Subscribe` is exactly what comes after its position.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from service_runtime.logs import get_logger
from session_service.adapters.ack_values import AckKey, AckValue
from session_service.adapters.engine_sqlite import reader as queries
from session_service.adapters.engine_sqlite.file import FileLock
from session_service.adapters.engine_sqlite.ops import (
    Append,
    CreateThread,
    Op,
    Outcome,
    Resync,
    SaveAcks,
    Subscribe,
    WriterSettings,
)
from session_service.adapters.engine_sqlite.reader import Reader
from session_service.adapters.engine_sqlite.writer import Writer
from session_service.adapters.metrics_prometheus import EngineMetrics
from session_service.core.errors import EngineTimeout, EngineUnavailable, LimitExceeded, SessionError
from session_service.core.model import (
    NewMessage,
    Page,
    Position,
    Stored,
    StoredMessage,
    Thread,
    ThreadMessages,
    ThreadPage,
)
from session_service.core.ports import EngineListener, OnStored, OnSubscribed

log = get_logger("session_service.engine_sqlite")
T = TypeVar("T")

ACK_DELAY_S: Final = 0.05
OVERDUE_CHECK_S: Final = 0.25
MAX_UNSAVED_ACKS: Final = 100_000
THREAD_PAGE_BYTES: Final = 2 * 1024 * 1024


class SqliteEngine:
    """An engine for one process on one machine.

    Args:
        path: The database file.
        settings: How the writer works.
        timeout_s: Seconds until an append or a read counts as failed.
        max_pending: Appends that may wait for their commit.
        max_pending_bytes: Bytes of data that may wait for their commit.
        metrics: Counters.
    """

    def __init__(
        self,
        path: Path,
        settings: WriterSettings,
        *,
        timeout_s: float = 5.0,
        max_pending: int = 50_000,
        max_pending_bytes: int = 64 * 1024 * 1024,
        metrics: EngineMetrics,
    ) -> None:
        self._lock = FileLock(path)
        self._writer = Writer(path, settings, self._from_writer)
        self._reader = Reader(path, timeout_s)
        self._timeout_s = timeout_s
        self._max_pending = max_pending
        self._max_pending_bytes = max_pending_bytes
        self._metrics = metrics
        self._path = path
        self._listener: EngineListener | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open = False
        self._tick: list[Op] = []
        self._pending: deque[Append] = deque()
        self._pending_bytes = 0
        metrics.pending.set_function(lambda: len(self._pending))
        self._subscribed: dict[str, int] = {}
        self._subscribing: dict[str, list[Subscribe]] = {}
        self._acks: dict[AckKey, AckValue] = {}
        self._acks_in_flight: dict[AckKey, AckValue] = {}
        self._overdue_check: asyncio.TimerHandle | None = None

    async def start(self, listener: EngineListener) -> None:
        """Open the store; raises EngineUnavailable."""
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except OSError as error:
            raise EngineUnavailable(f"{self._path.parent}: {error.strerror}") from None
        try:
            await self._loop.run_in_executor(None, self._writer.start)
        except SessionError:
            self._lock.release()
            raise
        self._open = True
        self._check_overdue()

    async def close(self) -> None:
        """Finish what was taken, then close the store. Idempotent."""
        if self._loop is None or not self._open:
            return
        if self._acks:
            acks, self._acks = self._acks, {}
            self._gather(SaveAcks(acks))
        self._hand_over()
        self._open = False
        if self._overdue_check is not None:
            self._overdue_check.cancel()
        ended = await self._loop.run_in_executor(None, self._writer.stop, self._timeout_s)
        await self._loop.run_in_executor(None, self._reader.close)
        await asyncio.sleep(0)  # the writer's last answers are called on the loop
        for append in self._pending:
            self._answer(append, EngineTimeout())
        self._pending.clear()
        if ended:
            self._lock.release()

    # Commands.

    def listen_anew(self) -> None:
        """Do nothing: what is stored here is given to the listener without a connection."""

    def append(self, message: NewMessage, on_stored: OnStored) -> None:
        """Store a message; see `Engine.append`."""
        if self._loop is None or not self._open:
            on_stored(EngineUnavailable("the message store is closed"))
            return
        size = len(message.data)
        if len(self._pending) >= self._max_pending or self._pending_bytes + size > self._max_pending_bytes:
            self._metrics.refused.inc()
            on_stored(LimitExceeded("too many messages wait to be stored"))
            return
        op = Append(message, on_stored, self._loop.time())
        self._pending.append(op)
        self._pending_bytes += size
        self._gather(op)

    def subscribe(self, topic: str, on_subscribed: OnSubscribed) -> None:
        """Subscribe to a topic; see `Engine.subscribe`."""
        if not self._open:
            on_subscribed(EngineUnavailable("the message store is closed"))
            return
        op = Subscribe(topic, on_subscribed)
        self._subscribing.setdefault(topic, []).append(op)
        self._gather(op)

    def unsubscribe(self, topic: str) -> None:
        """Unsubscribe from a topic. Idempotent."""
        self._subscribed.pop(topic, None)
        for op in self._subscribing.pop(topic, ()):
            op.wanted = False

    def acknowledge(self, topic: str, client_id: str, position: Position, *, baseline: bool = False) -> None:
        """Note what a client has seen; see `Engine.acknowledge`."""
        key = AckKey(topic, client_id)
        present = self._acks.get(key)
        if self._loop is None or not self._open or (present is None and len(self._acks) >= MAX_UNSAVED_ACKS):
            self._metrics.acks_dropped.inc()
            return
        if not self._acks:
            self._loop.call_later(ACK_DELAY_S, self._save_acks)
        self._acks[key] = AckValue.of(position, baseline=baseline).on_top_of(present)

    async def create_thread(self, thread: Thread) -> tuple[Thread, bool]:
        """Store a thread; see `Engine.create_thread`."""
        if self._loop is None or not self._open:
            raise EngineUnavailable("the message store is closed")
        created: asyncio.Future[tuple[Thread, bool]] = self._loop.create_future()
        self._gather(CreateThread(thread, lambda result: _resolve(created, result)))
        try:
            async with asyncio.timeout(self._timeout_s):
                return await created
        except TimeoutError:
            raise EngineTimeout from None

    # Reads.

    async def read(self, topic: str, after: int, limit: int, max_bytes: int) -> Page:
        """Read messages after an offset; see `Engine.read`."""
        return await self._ask(lambda db: queries.read_after(db, topic, after, limit, max_bytes))

    async def last(self, topic: str, count: int, max_bytes: int) -> Page:
        """Read the newest messages; see `Engine.last`."""
        return await self._ask(lambda db: queries.read_last(db, topic, count, max_bytes))

    async def acknowledged(self, topic: str, client_id: str) -> Position | None:
        """Return a client's last acknowledged position."""
        key = AckKey(topic, client_id)
        before = (self._acks_in_flight.get(key), self._acks.get(key))
        value = await self._ask(lambda db: queries.read_acknowledged(db, topic, client_id))
        for unsaved in (*before, self._acks_in_flight.get(key), self._acks.get(key)):
            value = value if unsaved is None else unsaved.on_top_of(value)
        return None if value is None else Position(value.epoch, value.offset)

    async def count_acknowledged(self, topic: str, offset: int) -> int:
        """Return how many clients acknowledged a message."""
        unsaved: dict[str, AckValue] = {}
        for key, value in (*self._acks_in_flight.items(), *self._acks.items()):
            if key.topic == topic:
                unsaved[key.client_id] = value.on_top_of(unsaved.get(key.client_id))
        return await self._ask(lambda db: queries.count_acknowledged(db, topic, offset, unsaved))

    async def thread(self, domain: str, workspace: str, thread_id: str) -> Thread | None:
        """Return a thread."""
        return await self._ask(lambda db: queries.read_thread(db, domain, workspace, thread_id))

    async def threads(self, domain: str, workspace: str, limit: int, token: int) -> ThreadPage:
        """Return threads, newest first."""
        return await self._ask(lambda db: queries.read_threads(db, domain, workspace, limit, token))

    async def thread_messages(
        self, domain: str, workspace: str, thread_id: str, limit: int, token: int
    ) -> ThreadMessages:
        """Return a thread's messages."""
        name = f"{domain}/{workspace}/{thread_id}"
        return await self._ask(lambda db: queries.read_thread_messages(db, name, limit, token, THREAD_PAGE_BYTES))

    async def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        if not self._open:
            raise EngineUnavailable("the message store is closed")
        return await self._reader.ask(question)

    # To the writer and back.

    def _gather(self, op: Op) -> None:
        if not self._tick and self._loop is not None:
            self._loop.call_soon(self._hand_over)
        self._tick.append(op)

    def _hand_over(self) -> None:
        if self._tick:
            ops, self._tick = self._tick, []
            self._writer.submit(ops)

    def _save_acks(self) -> None:
        if self._acks and self._open and not self._acks_in_flight:
            self._acks_in_flight, self._acks = self._acks, {}
            self._gather(SaveAcks(self._acks_in_flight))

    def _from_writer(self, ops: Sequence[Op], outcomes: Sequence[Outcome], seconds: float) -> None:
        """Runs in the writer's thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._finish, ops, outcomes, seconds)

    def _finish(self, ops: Sequence[Op], outcomes: Sequence[Outcome], seconds: float) -> None:
        """Answer a group, in the order of its ops."""
        self._metrics.group_size.observe(len(ops))
        self._metrics.append_seconds.observe(seconds)
        unknown: set[str] = set()
        for op, outcome in zip(ops, outcomes, strict=True):
            if outcome.fault is not None:
                self._metrics.errors.inc()
            if isinstance(op, Append):
                self._finish_append(op, outcome)
                if isinstance(outcome.fault, EngineTimeout):
                    unknown.add(op.message.topic)
            else:
                self._finish_other(op, outcome)
        for topic in unknown & self._subscribed.keys():
            self._gather(Resync(topic, self._subscribed[topic]))

    def _finish_append(self, op: Append, outcome: Outcome) -> None:
        if self._pending and self._pending[0] is op:
            self._pending.popleft()
        self._pending_bytes -= len(op.message.data)
        if outcome.appended is None:
            self._answer(op, outcome.fault or EngineUnavailable())
            return
        stored, message = outcome.appended
        if message is None:
            self._metrics.duplicates.inc()
        else:
            self._metrics.appended.inc()
            self._deliver(message)
        self._answer(op, stored)

    def _finish_other(self, op: Op, outcome: Outcome) -> None:
        if isinstance(op, Subscribe):
            self._finish_subscribe(op, outcome)
        elif isinstance(op, Resync):
            if outcome.fault is not None and self._open and self._loop is not None:
                self._loop.call_later(OVERDUE_CHECK_S, self._gather, op)
            for message in outcome.messages:
                self._deliver(message)
        elif isinstance(op, SaveAcks):
            self._acks_saved(op, outcome)
        elif isinstance(op, CreateThread):
            op.on_created(outcome.thread or outcome.fault or EngineUnavailable())

    def _finish_subscribe(self, op: Subscribe, outcome: Outcome) -> None:
        if op.wanted:
            under_way = self._subscribing[op.topic]
            under_way.remove(op)
            if not under_way:
                del self._subscribing[op.topic]
        if outcome.position is None:
            op.on_subscribed(outcome.fault or EngineUnavailable())
            return
        if op.wanted:
            self._subscribed[op.topic] = outcome.position.offset
        op.on_subscribed(outcome.position)

    def _acks_saved(self, op: SaveAcks, outcome: Outcome) -> None:
        self._acks_in_flight = {}
        if outcome.fault is not None:
            newer, self._acks = self._acks, dict(op.acks)
            for key, value in newer.items():
                self._acks[key] = value.on_top_of(self._acks.get(key))
        if self._acks and self._open and self._loop is not None:
            self._loop.call_later(ACK_DELAY_S, self._save_acks)

    def _deliver(self, message: StoredMessage) -> None:
        """Give a message to the listener, unless a resync has done so before, or has yet to give what comes before it."""
        announced = self._subscribed.get(message.topic)
        if announced is not None and message.offset == announced + 1 and self._listener is not None:
            self._subscribed[message.topic] = message.offset
            self._listener.on_message(message)

    def _answer(self, op: Append, result: Stored | SessionError) -> None:
        if not op.answered:
            op.answered = True
            op.on_stored(result)

    def _check_overdue(self) -> None:
        """Tell those that have waited too long; their messages may be stored yet."""
        if self._loop is None or not self._open:
            return
        overdue_s = self._loop.time() - self._timeout_s
        for append in self._pending:
            if append.since_s > overdue_s:
                break
            if not append.answered:
                self._metrics.errors.inc()
                self._answer(append, EngineTimeout())
        self._overdue_check = self._loop.call_later(OVERDUE_CHECK_S, self._check_overdue)


def _resolve(future: asyncio.Future[T], result: T | SessionError) -> None:
    if future.done():
        return
    if isinstance(result, SessionError):
        future.set_exception(result)
    else:
        future.set_result(result)
