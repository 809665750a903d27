"""Reads of the SQLite engine: a read-only connection in a thread of its own; each read sees one moment."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from service_runtime.logs import get_logger
from session_service.adapters.ack_values import AckValue
from session_service.adapters.engine_sqlite.file import open_reader
from session_service.adapters.engine_sqlite.group import MESSAGE_COLUMNS, THREAD_COLUMNS, message_of, thread_of
from session_service.core.errors import EngineTimeout, EngineUnavailable, LimitExceeded
from session_service.core.model import (
    Page,
    StoredMessage,
    Thread,
    ThreadMessages,
    ThreadPage,
    weight,
)

log = get_logger("session_service.engine_sqlite")
T = TypeVar("T")

MAX_WAITING_READS: Final = 2000
_CHANNEL: Final = (
    'SELECT channel_id, epoch, low, (SELECT max("offset") FROM messages m WHERE m.channel_id = c.channel_id)'
    " FROM channels c WHERE topic = ?"
)
_AFTER: Final = (
    f'SELECT {MESSAGE_COLUMNS} FROM messages m WHERE m.channel_id = ? AND m."offset" > ? ORDER BY m."offset" LIMIT ?'  # noqa: S608
)
_LAST: Final = f'SELECT {MESSAGE_COLUMNS} FROM messages m WHERE m.channel_id = ? AND m."offset" > ? ORDER BY m."offset" DESC LIMIT ?'  # noqa: S608, E501
_THREADS: Final = (
    f"SELECT {THREAD_COLUMNS} FROM threads WHERE scope = ? AND thread_row < ? ORDER BY thread_row DESC LIMIT ?"  # noqa: S608
)
_THREAD_MESSAGES: Final = (
    f"SELECT {MESSAGE_COLUMNS}, m.seq, c.topic, c.epoch FROM messages m JOIN channels c USING (channel_id)"  # noqa: S608
    " WHERE m.thread = ? AND m.seq > ? ORDER BY m.seq LIMIT ?"
)
_MAX_NUMBER: Final = 2**62
"""Beyond every offset and row: larger numbers of a caller, which SQLite could not take, mean the same."""


class Reader:
    """Answers questions about what is stored.

    Args:
        path: The database file; it must be there when the first read comes.
        timeout_s: Seconds until a read counts as failed.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="session-reader")
        self._db: sqlite3.Connection | None = None
        self._waiting = 0

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Run a question in the reader's thread, in one read transaction.

        Raises:
            LimitExceeded: too many reads wait.
            EngineTimeout: no answer in time.
            EngineUnavailable: the store cannot be read.
        """
        if self._waiting >= MAX_WAITING_READS:
            raise LimitExceeded("too many reads wait for the message store")
        self._waiting += 1
        try:
            answer = asyncio.get_running_loop().run_in_executor(self._pool, self._answer, question)
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except TimeoutError:
            raise EngineTimeout from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Finish the reads under way, then close; blocks shortly."""
        self._pool.submit(self._close)
        self._pool.shutdown(wait=True)

    def _answer(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._db is None:
                self._db = open_reader(self._path)
            self._db.execute("BEGIN")
            try:
                return question(self._db)
            finally:
                self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            log.error("read failed", error=str(error))
            self._close()
            raise EngineUnavailable from None

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()


def read_after(db: sqlite3.Connection, topic: str, after: int, limit: int, max_bytes: int) -> Page:
    """Return messages after an offset."""
    found = db.execute(_CHANNEL, (topic,)).fetchone()
    if found is None:
        return Page("", 0, 0, (), False)
    channel_id, epoch, low, newest = found
    head = max(low, newest or 0)
    rows = db.execute(_AFTER, (channel_id, max(min(after, _MAX_NUMBER), low), limit))
    messages = _within(max_bytes, (message_of(topic, epoch, row) for row in rows))
    return Page(epoch, head, low, messages, bool(messages) and messages[-1].offset < head)


def read_last(db: sqlite3.Connection, topic: str, count: int, max_bytes: int) -> Page:
    """Return the newest messages."""
    found = db.execute(_CHANNEL, (topic,)).fetchone()
    if found is None:
        return Page("", 0, 0, (), False)
    channel_id, epoch, low, newest = found
    rows = db.execute(_LAST, (channel_id, low, count))
    messages = _within(max_bytes, (message_of(topic, epoch, row) for row in rows))
    return Page(epoch, max(low, newest or 0), low, messages[::-1], False)


def read_acknowledged(db: sqlite3.Connection, topic: str, client_id: str) -> AckValue | None:
    """Return what a client has acknowledged."""
    row = db.execute(
        'SELECT a.epoch, a.start, a."offset" FROM acknowledgements a JOIN channels c USING (channel_id)'
        " WHERE c.topic = ? AND a.client_id = ?",
        (topic, client_id),
    ).fetchone()
    return None if row is None else AckValue(*row)


def count_acknowledged(db: sqlite3.Connection, topic: str, offset: int, unsaved: Mapping[str, AckValue]) -> int:
    """Return how many clients acknowledged a message, by what is stored and, on top of it, what is not stored yet."""
    channel = db.execute("SELECT channel_id, epoch FROM channels WHERE topic = ?", (topic,)).fetchone()
    if channel is None:
        return 0
    channel_id, epoch = channel
    offset, names = min(offset, _MAX_NUMBER), json.dumps(list(unsaved))
    (count,) = db.execute(
        'SELECT count(*) FROM acknowledgements WHERE channel_id = ? AND epoch = ? AND start < ? AND "offset" >= ?'
        " AND client_id NOT IN (SELECT value FROM json_each(?))",
        (channel_id, epoch, offset, offset, names),
    ).fetchone()
    rows = db.execute(
        'SELECT client_id, epoch, start, "offset" FROM acknowledgements'
        " WHERE channel_id = ? AND client_id IN (SELECT value FROM json_each(?))",
        (channel_id, names),
    )
    stored = {client_id: AckValue(*value) for client_id, *value in rows}
    newer = (value.on_top_of(stored.get(client_id)) for client_id, value in unsaved.items())
    return int(count) + sum(1 for value in newer if value.epoch == epoch and value.acknowledges(offset))


def read_thread(db: sqlite3.Connection, domain: str, workspace: str, thread_id: str) -> Thread | None:
    """Return a thread."""
    name = f"{domain}/{workspace}/{thread_id}"
    row = db.execute(f"SELECT {THREAD_COLUMNS} FROM threads WHERE thread = ?", (name,)).fetchone()  # noqa: S608
    return None if row is None else thread_of(row)


def read_threads(db: sqlite3.Connection, domain: str, workspace: str, limit: int, token: int) -> ThreadPage:
    """Return threads, newest first."""
    scope = f"{domain}/{workspace}"
    (total,) = db.execute("SELECT count(*) FROM threads WHERE scope = ?", (scope,)).fetchone()
    rows = db.execute(_THREADS, (scope, min(token or _MAX_NUMBER, _MAX_NUMBER), limit + 1)).fetchall()
    next_token = rows[limit - 1][0] if len(rows) > limit else 0
    return ThreadPage([thread_of(row) for row in rows[:limit]], next_token, total)


def read_thread_messages(db: sqlite3.Connection, thread: str, limit: int, token: int, max_bytes: int) -> ThreadMessages:
    """Return messages of a thread (`domain/workspace/thread_id`) in the order they were stored."""
    (total,) = db.execute("SELECT count(*) FROM messages WHERE thread = ?", (thread,)).fetchone()
    rows = db.execute(_THREAD_MESSAGES, (thread, min(token, _MAX_NUMBER), limit + 1)).fetchall()
    messages = _within(max_bytes, (message_of(row[7], row[8], row[:6]) for row in rows[:limit]))
    more = len(messages) < len(rows)
    return ThreadMessages(messages, rows[len(messages) - 1][6] if more else 0, total)


def _within(max_bytes: int, messages: Iterable[StoredMessage]) -> list[StoredMessage]:
    """Return the first messages that weigh at most `max_bytes` together, and at least one if there is any."""
    taken: list[StoredMessage] = []
    for message in messages:
        max_bytes -= weight(message)
        if max_bytes < 0 and taken:
            break
        taken.append(message)
    return taken
