"""The SQLite file of the embedded engine: one process at a time, WAL, every commit on disk before it counts."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from importlib import resources
from pathlib import Path
from typing import Final

from session_service.core.errors import EngineUnavailable

PAGE_BYTES: Final = 4096
BUSY_TIMEOUT_MS: Final = 2000
STATEMENT_CACHE: Final = 256


def open_writer(path: Path, max_bytes: int) -> sqlite3.Connection:
    """Open the file for writing, from whatever thread the caller uses it in.

    Args:
        path: The file; made when it is not there.
        max_bytes: How large it may grow; 0: as the disk allows.

    Raises:
        sqlite3.Error: it cannot be opened, or not be written.
    """
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, cached_statements=STATEMENT_CACHE)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("PRAGMA cache_size = -32768")
        if max_bytes:
            db.execute(f"PRAGMA max_page_count = {max(1, max_bytes // PAGE_BYTES)}")
        _try_to_write(db)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _try_to_write(db: sqlite3.Connection) -> None:
    """Raise sqlite3.Error for a file that may only be read: it was opened without a word. Writes nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {int(version)}")
    finally:
        db.execute("ROLLBACK")


def open_reader(path: Path) -> sqlite3.Connection:
    """Open the file for reading only; usable from whatever thread, one at a time."""
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENT_CACHE,
    )
    db.execute("PRAGMA query_only = ON")
    return db


def migrate(db: sqlite3.Connection) -> int:
    """Bring the schema up to date, each step in one transaction; return its version.

    Raises:
        EngineUnavailable: the file was made by a newer release.
    """
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    steps = migrations()
    if version > len(steps):
        raise EngineUnavailable(f"the store has schema {version}, this release knows {len(steps)}")
    for number, script in enumerate(steps[version:], start=version + 1):
        db.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
    return len(steps)


def migrations() -> list[str]:
    """Return the SQL scripts in their order."""
    folder = resources.files("session_service.adapters.engine_sqlite.migrations")
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    return [entry.read_text(encoding="utf-8") for entry in files]


class FileLock:
    """Keeps a second process from the file: its idea of the newest offsets would be wrong.

    Args:
        path: The database file; the lock is a file beside it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}.lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; raises EngineUnavailable when another process has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise EngineUnavailable(f"another session service uses {self._path.parent}") from None
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
