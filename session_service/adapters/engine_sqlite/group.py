"""One group of ops in one transaction of the SQLite writer: heads, idempotency, offsets, rows.

Few statements for many rows: each statement gives the interpreter lock up and has to win it back, so that a statement a
message would cost more than the message.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

from session_service.adapters.ack_values import AckKey, AckValue
from session_service.adapters.engine_sqlite.ops import (
    Append,
    Appended,
    CreateThread,
    Op,
    Outcome,
    Resync,
    SaveAcks,
    Subscribe,
    WriterSettings,
)
from session_service.core.errors import LimitExceeded
from session_service.core.model import NewMessage, Position, Stored, StoredMessage, Thread, weight
from session_service.core.retention import RetentionRule

T = TypeVar("T")

CHUNKS: Final = (64, 16, 4, 1)
_COLUMNS: Final = 9
MESSAGE_COLUMNS: Final = 'm.type, m.id, m.client_id, m."offset", m.time_ms, m.data'
THREAD_COLUMNS: Final = (
    "thread_row, scope, thread_id, title, channel, created_by, create_time_ms, message_count,"
    " last_message_time_ms, metadata"
)
_INSERT: Final = {
    size: 'INSERT INTO messages (channel_id, "offset", total_bytes, time_ms, type, id, client_id, thread, data)'  # noqa: S608
    " VALUES " + ",".join(["(" + ",".join("?" * _COLUMNS) + ")"] * size)
    for size in CHUNKS
}
_FIND: Final = {
    size: "WITH wanted(place, channel_id, client_id, id) AS (VALUES "  # noqa: S608 - only placeholders are put in
    + ",".join(["(?,?,?,?)"] * size)
    + ') SELECT w.place, m."offset", m.time_ms FROM wanted w CROSS JOIN messages m INDEXED BY messages_by_publisher'
    " ON m.channel_id = w.channel_id AND m.client_id = w.client_id AND m.id = w.id WHERE m.time_ms >= ?"
    for size in CHUNKS
}
_LOAD: Final = (
    'SELECT c.channel_id, c.topic, c.epoch, c.low, c.low_total, m."offset", m.total_bytes FROM channels c'
    ' LEFT JOIN messages m ON m.channel_id = c.channel_id AND m."offset" ='
    ' (SELECT max("offset") FROM messages n WHERE n.channel_id = c.channel_id) WHERE c.topic = ?'
)
_SAVE_ACK: Final = (
    'INSERT INTO acknowledgements (channel_id, client_id, epoch, start, "offset") VALUES (?, ?, ?, ?, ?)'
    ' ON CONFLICT DO UPDATE SET "offset" = CASE'
    ' WHEN epoch <> excluded.epoch THEN excluded."offset"'
    ' WHEN excluded.start = excluded."offset" THEN "offset"'
    ' ELSE max("offset", excluded."offset") END,'
    " start = iif(epoch = excluded.epoch, start, excluded.start), epoch = excluded.epoch"
)
"""As `AckValue.on_top_of`."""


class ChannelState:
    """What the writer knows of one channel: always the truth, or forgotten."""

    __slots__ = ("channel_id", "epoch", "head", "low", "low_total", "rule", "total")

    def __init__(self, channel_id: int, epoch: str, rule: RetentionRule) -> None:
        self.channel_id = channel_id
        self.epoch = epoch
        self.rule = rule
        self.head = 0
        self.total = 0
        self.low = 0
        self.low_total = 0


class Group:
    """Carries out ops inside a transaction that the caller began and ends.

    Args:
        db: The writer's connection.
        settings: Window, bounds, sources of time and epochs.
        channels: The writer's channels; the caller forgets those of `touched` when the transaction fails.
    """

    def __init__(self, db: sqlite3.Connection, settings: WriterSettings, channels: dict[str, ChannelState]) -> None:
        self._db = db
        self._settings = settings
        self._channels = channels
        self._now_ms = int(settings.now_s() * 1000)
        self._rows: list[tuple[object, ...]] = []
        self._threads: dict[str, int] = {}
        self._earlier: dict[int, tuple[int, int]] = {}
        self._in_group: dict[tuple[int, str, str], Stored] = {}
        self.touched: set[str] = set()

    def run(self, ops: Sequence[Op]) -> list[Outcome]:
        """Carry out the ops in order; return what became of each."""
        self._find_earlier(ops)
        outcomes = [self._one(place, op) for place, op in enumerate(ops)]
        self._insert()
        return outcomes

    def _one(self, place: int, op: Op) -> Outcome:
        if isinstance(op, Append):
            return Outcome(appended=self._append(place, op.message))
        if isinstance(op, Subscribe):
            state = self.channel(op.topic)
            return Outcome(position=Position(state.epoch, state.head))
        if isinstance(op, Resync):
            self._insert()
            return Outcome(messages=self._after(op))
        if isinstance(op, SaveAcks):
            self._save_acks(op.acks.items())
            return Outcome()
        self._insert()
        return self._create_thread(op)

    # Channels.

    def channel(self, topic: str) -> ChannelState:
        """Return a channel, made with a new epoch on first use."""
        self.touched.add(topic)
        state = self._channels.get(topic)
        if state is None:
            state = self._channels[topic] = self._load(topic) or self._make(topic)
        return state

    def _load(self, topic: str) -> ChannelState | None:
        row = self._db.execute(_LOAD, (topic,)).fetchone()
        if row is None:
            return None
        channel_id, _, epoch, low, low_total, head, total = row
        state = ChannelState(channel_id, epoch, self._settings.retention.rule_for(topic))
        state.low, state.low_total = low, low_total
        state.head = low if head is None else head
        state.total = low_total if head is None else total
        return state

    def _make(self, topic: str) -> ChannelState:
        epoch = self._settings.new_epoch()
        cursor = self._db.execute("INSERT INTO channels (topic, epoch) VALUES (?, ?)", (topic, epoch))
        return ChannelState(int(cursor.lastrowid or 0), epoch, self._settings.retention.rule_for(topic))

    # Appends.

    def _find_earlier(self, ops: Sequence[Op]) -> None:
        """Look up, for all appends at once, which were stored before."""
        wanted = []
        for place, op in enumerate(ops):
            if isinstance(op, Append):
                message = op.message
                wanted.append((place, self.channel(message.topic).channel_id, message.client_id, message.id))
        oldest_ms = self._now_ms - int(self._settings.idempotency_window_s * 1000)
        for chunk in _chunks(wanted):
            flat = [value for row in chunk for value in row]
            for place, offset, time_ms in self._db.execute(_FIND[len(chunk)], (*flat, oldest_ms)):
                self._earlier[place] = (offset, time_ms)

    def _append(self, place: int, message: NewMessage) -> Appended:
        state = self.channel(message.topic)
        earlier = self._earlier.get(place)
        if earlier is not None:
            return Appended(Stored(state.epoch, *earlier, True), None)
        key = (state.channel_id, message.client_id, message.id)
        twin = self._in_group.get(key)
        if twin is not None:
            return Appended(twin._replace(duplicate=True), None)
        topic, kind, message_id, client_id, data, _ = message
        stored_message = StoredMessage(
            topic, kind, message_id, client_id, state.epoch, state.head + 1, self._now_ms, data
        )
        state.head += 1
        state.total += weight(stored_message)
        stored = self._in_group[key] = Stored(state.epoch, state.head, self._now_ms, False)
        self._rows.append(
            (
                state.channel_id,
                state.head,
                state.total,
                self._now_ms,
                kind,
                message_id,
                client_id,
                self._thread_of(message),
                data,
            )
        )
        return Appended(stored, stored_message)

    def _thread_of(self, message: NewMessage) -> str | None:
        if not message.thread_id:
            return None
        domain, workspace, _ = message.topic.split("/", 2)
        thread = f"{domain}/{workspace}/{message.thread_id}"
        self._threads[thread] = self._threads.get(thread, 0) + 1
        return thread

    def _insert(self) -> None:
        rows, self._rows = self._rows, []
        for chunk in _chunks(rows):
            self._db.execute(_INSERT[len(chunk)], [value for row in chunk for value in row])
        for thread, count in self._threads.items():
            self._db.execute(
                "UPDATE threads SET message_count = message_count + ?,"
                " last_message_time_ms = max(last_message_time_ms, ?) WHERE thread = ?",
                (count, self._now_ms, thread),
            )
        self._threads.clear()

    # The rest.

    def _after(self, op: Resync) -> tuple[StoredMessage, ...]:
        state = self.channel(op.topic)
        rows = self._db.execute(
            f'SELECT {MESSAGE_COLUMNS} FROM messages m WHERE m.channel_id = ? AND m."offset" > ?'  # noqa: S608
            ' ORDER BY m."offset"',
            (state.channel_id, op.after),
        )
        return tuple(message_of(op.topic, state.epoch, row) for row in rows)

    def _save_acks(self, acks: Iterable[tuple[AckKey, AckValue]]) -> None:
        for (topic, client_id), (epoch, start, offset) in acks:
            state = self.channel(topic)
            if epoch == state.epoch:
                place = (min(start, state.head), min(offset, state.head))
                self._db.execute(_SAVE_ACK, (state.channel_id, client_id, epoch, *place))

    def _create_thread(self, op: CreateThread) -> Outcome:
        thread = op.thread
        scope = f"{thread.domain}/{thread.workspace}"
        name = f"{scope}/{thread.thread_id}"
        found = self._db.execute(f"SELECT {THREAD_COLUMNS} FROM threads WHERE thread = ?", (name,)).fetchone()  # noqa: S608
        if found is not None:
            return Outcome(thread=(thread_of(found), True))
        (count,) = self._db.execute("SELECT count(*) FROM threads WHERE scope = ?", (scope,)).fetchone()
        if count >= self._settings.max_threads:
            return Outcome(fault=LimitExceeded(f"a workspace may have {self._settings.max_threads} threads"))
        messages, newest_ms = self._db.execute(
            "SELECT count(*), coalesce(max(time_ms), 0) FROM messages WHERE thread = ?", (name,)
        ).fetchone()
        made = thread._replace(create_time_ms=self._now_ms, message_count=messages, last_message_time_ms=newest_ms)
        self._db.execute(
            "INSERT INTO threads (thread, scope, thread_id, title, channel, created_by, create_time_ms, message_count,"
            " last_message_time_ms, metadata) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                name,
                scope,
                made.thread_id,
                made.title,
                made.channel,
                made.created_by,
                made.create_time_ms,
                made.message_count,
                made.last_message_time_ms,
                made.metadata,
            ),
        )
        return Outcome(thread=(made, False))


def message_of(topic: str, epoch: str, row: tuple[str, str, str, int, int, bytes]) -> StoredMessage:
    """Return the message of a row of `MESSAGE_COLUMNS`."""
    kind, message_id, client_id, offset, time_ms, data = row
    return StoredMessage(topic, kind, message_id, client_id, epoch, offset, time_ms, data)


def thread_of(row: tuple[int, str, str, str, str, str, int, int, int, bytes]) -> Thread:
    """Return the thread of a row of `THREAD_COLUMNS`."""
    _, scope, thread_id, title, channel, created_by, create_time_ms, count, last_ms, metadata = row
    domain, workspace = scope.split("/")
    return Thread(thread_id, domain, workspace, title, channel, created_by, create_time_ms, count, last_ms, metadata)


def _chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Split rows into runs of the few sizes for which a statement is prepared."""
    place = 0
    for size in CHUNKS:
        while len(rows) - place >= size:
            yield rows[place : place + size]
            place += size
