"""The embedded engine, and a bare loop of the same inserts on the same disk."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import ClassVar, Final

from prometheus_client import CollectorRegistry

from benchmarks.stores.base import TOPIC, Appending, Store, new_messages
from benchmarks.stores.engine_load import EngineLoad
from service_runtime.settings import load_settings
from session_service.adapters.engine_sqlite.engine import SqliteEngine
from session_service.adapters.engine_sqlite.file import migrate, open_writer
from session_service.adapters.engine_sqlite.ops import WriterSettings
from session_service.adapters.metrics_prometheus import EngineMetrics
from session_service.core.model import NewMessage
from session_service.settings import SessionSettings

_INSERT: Final = (
    'INSERT INTO messages (channel_id, "offset", total_bytes, time_ms, type, id, client_id, thread, data)'
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_Row = tuple[int, int, int, int, str, str, str, None, bytes]


class SqliteStore(Store):
    """The session service's embedded engine as it comes: idempotency, offsets, retention, answers on the event loop."""

    name: ClassVar[str] = "tidewire-sqlite"

    def missing(self) -> str | None:
        """See `Subject.missing`."""
        return None

    def version(self) -> str:
        """See `Subject.version`."""
        return f"the embedded engine in this process, SQLite {sqlite3.sqlite_version}"

    def start(self, directory: Path, identities: int = 1) -> None:
        """See `Subject.start`."""
        settings = WriterSettings(
            retention=load_settings(SessionSettings, [], prog="session", description="").retention,
            now_s=time.time,
            monotonic_s=time.monotonic,
            new_epoch=lambda: secrets.token_urlsafe(9),
        )
        metrics = EngineMetrics(CollectorRegistry())
        self._load = EngineLoad(lambda: SqliteEngine(directory / "session.db", settings, metrics=metrics))

    def stop(self) -> None:
        """See `Subject.stop`."""
        self._load.close()

    def append(self, group: int, seconds: float) -> Appending:
        """See `Store.append`."""
        return self._load.append(group, seconds)

    def append_at_rate(self, rate: float, seconds: float) -> Sequence[float]:
        """See `Store.append_at_rate`."""
        return self._load.append_at_rate(rate, seconds)


class BareSqlite(Store):
    """A loop in one thread: begin, insert the same rows into the same tables, commit with the same pragmas."""

    name: ClassVar[str] = "sqlite-bare-loop"

    def missing(self) -> str | None:
        """See `Subject.missing`."""
        return None

    def version(self) -> str:
        """See `Subject.version`."""
        return f"begin, inserts, commit with synchronous=FULL and nothing else, SQLite {sqlite3.sqlite_version}"

    def start(self, directory: Path, identities: int = 1) -> None:
        """See `Subject.start`."""
        self._db = open_writer(directory / "bare.db", 0)
        migrate(self._db)
        self._db.execute("INSERT INTO channels (topic, epoch) VALUES (?, 'e')", (TOPIC,))
        self._rows = _rows(new_messages())

    def stop(self) -> None:
        """See `Subject.stop`."""
        self._db.close()

    def append(self, group: int, seconds: float) -> Appending:
        """See `Store.append`."""
        began_s, cpu_began_s, count = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - began_s < seconds:
            self._commit(group)
            count += group
        return Appending(count, time.perf_counter() - began_s, time.process_time() - cpu_began_s)

    def append_at_rate(self, rate: float, seconds: float) -> Sequence[float]:
        """See `Store.append_at_rate`."""
        taken_s = []
        began_s = time.perf_counter()
        for number in range(max(1, int(rate * seconds))):
            time.sleep(max(0.0, began_s + number / rate - time.perf_counter()))
            asked_s = time.perf_counter()
            self._commit(1)
            taken_s.append(time.perf_counter() - asked_s)
        return taken_s

    def _commit(self, group: int) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(_INSERT, islice(self._rows, group))
        self._db.execute("COMMIT")


def _rows(messages: Iterator[NewMessage]) -> Iterator[_Row]:
    for offset, (_, kind, message_id, client_id, data, _) in enumerate(messages, 1):
        yield (1, offset, offset * len(data), int(time.time() * 1000), kind, message_id, client_id, None, data)
