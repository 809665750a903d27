"""The one thread that writes: takes whatever was gathered while the last commit ran, and commits it as one group."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from service_runtime.logs import get_logger
from session_service.adapters.engine_sqlite.file import migrate, open_writer
from session_service.adapters.engine_sqlite.group import ChannelState, Group
from session_service.adapters.engine_sqlite.ops import Op, Outcome, WriterSettings
from session_service.adapters.engine_sqlite.trim import Trimmer
from session_service.core.errors import EngineTimeout, EngineUnavailable, InternalError, SessionError

log = get_logger("session_service.engine_sqlite")

_IO_ERROR: Final = 10
"""SQLITE_IOERR: after it, at a commit, nobody knows what is on the disk."""

OnGroup: TypeAlias = Callable[[Sequence[Op], Sequence[Outcome], float], None]


class Writer:
    """Commits groups of ops, one after another, in a thread of its own.

    Args:
        path: The database file.
        settings: How to work.
        on_group: Called in the thread after each group with its ops, what became of each, and seconds it took.
    """

    def __init__(self, path: Path, settings: WriterSettings, on_group: OnGroup) -> None:
        self._path = path
        self._settings = settings
        self._on_group = on_group
        self._condition = threading.Condition()
        self._gathered: list[Op] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="session-writer", daemon=True)
        self._db: sqlite3.Connection | None = None
        self._channels: dict[str, ChannelState] = {}
        self._trimmer = Trimmer(settings)
        self._started: threading.Event = threading.Event()
        self._start_error: SessionError | None = None

    def start(self) -> None:
        """Open the store and begin; blocks shortly. Raises EngineUnavailable."""
        self._thread.start()
        self._started.wait()
        if self._start_error is not None:
            raise self._start_error

    def submit(self, ops: Sequence[Op]) -> None:
        """Hand ops over; they go with the next group."""
        with self._condition:
            self._gathered.extend(ops)
            self._condition.notify()

    def stop(self, timeout_s: float) -> bool:
        """Finish what was handed over and end; blocks up to `timeout_s` seconds. Returns: it ended."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._open()
        except (sqlite3.Error, OSError) as error:
            log.error("store cannot be opened", error=str(error), path=str(self._path))
            self._start_error = EngineUnavailable(f"the message store {self._path} cannot be opened: {error}")
        except SessionError as error:
            self._start_error = error
        self._started.set()
        while self._start_error is None and (ops := self._next_group()) is not None:
            if ops:
                self._serve(ops)
            elif self._trimmer.due:
                self._commit([])
        self._close()

    def _next_group(self) -> list[Op] | None:
        with self._condition:
            if not self._gathered and not self._stopping:
                self._condition.wait(self._trimmer.idle_s)
            if not self._gathered and self._stopping:
                return None
            ops, self._gathered = self._gathered, []
            return ops

    def _serve(self, ops: list[Op]) -> None:
        started_s = time.perf_counter()
        outcomes = self._commit(ops)
        if len(ops) > 1 and isinstance(outcomes[0].fault, InternalError):
            outcomes = [self._commit([op])[0] for op in ops]  # one bad op must not take the others with it
        self._on_group(ops, outcomes, time.perf_counter() - started_s)

    def _commit(self, ops: list[Op]) -> list[Outcome]:
        group: Group | None = None
        committing = False
        try:
            db = self._db or self._open()
            group = Group(db, self._settings, self._channels)
            db.execute("BEGIN IMMEDIATE")
            outcomes = group.run(ops)
            written = [
                outcome.appended.message.topic for outcome in outcomes if outcome.appended and outcome.appended.message
            ]
            for topic in written:
                self._trimmer.wrote(topic)
            if self._trimmer.due:
                self._trimmer.step(db, group)
            committing = True
            db.execute("COMMIT")
        except Exception as error:
            return [Outcome(fault=self._failed(group, error, committing))] * len(ops)
        self._forget_surplus()
        return outcomes

    def _failed(self, group: Group | None, error: Exception, committing: bool) -> SessionError:
        """Undo the group, forget what it touched, and say what callers may know."""
        for topic in group.touched if group is not None else ():
            self._channels.pop(topic, None)
        self._trimmer.put_off()
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        unknown = committing and code == _IO_ERROR
        try:
            if self._db is not None and self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error as undo_error:
            log.error("rollback failed", error=str(undo_error))
            unknown = unknown or committing
            self._close()
        if unknown:
            self._close()
        if isinstance(error, sqlite3.OperationalError | sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError
        ):
            log.error("group was not stored", error=str(error), code=code, committing=committing)
            return EngineTimeout("the message store failed while it stored") if unknown else EngineUnavailable()
        log.error("group failed", exc_info=error)
        return InternalError()

    def _open(self) -> sqlite3.Connection:
        db = open_writer(self._path, self._settings.max_file_bytes)
        try:
            migrate(db)
        except BaseException:
            db.close()
            raise
        self._db = db
        return db

    def _close(self) -> None:
        self._channels.clear()
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _forget_surplus(self) -> None:
        """Forget the channels that were remembered longest, many at a time; they are read again when they are used."""
        most = self._settings.max_cached_channels
        if len(self._channels) > most:
            for topic in list(self._channels)[: len(self._channels) - most + most // 8]:
                del self._channels[topic]
