"""Gives every channel of a SQLite store another epoch: for a store that was put back from a backup."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from session_service.adapters.engine_sqlite.file import FileLock, migrate, open_writer
from session_service.core.errors import EngineUnavailable


def renew_epochs(path: Path, new_epoch: Callable[[], str]) -> int:
    """Give each channel another epoch, in one transaction; acknowledgements stay good.

    Args:
        path: The store's file.
        new_epoch: Returns a name that no epoch had.

    Returns:
        How many channels there are.

    Raises:
        EngineUnavailable: there is no such file, a service uses it, or it cannot be written.
    """
    if not path.exists():
        raise EngineUnavailable(f"there is no message store {path}")
    lock = FileLock(path)
    lock.acquire()
    try:
        return _renew(path, new_epoch)
    except sqlite3.Error as error:
        raise EngineUnavailable(f"the message store cannot be written: {error}") from None
    finally:
        lock.release()


def _renew(path: Path, new_epoch: Callable[[], str]) -> int:
    db = open_writer(path, max_bytes=0)
    try:
        migrate(db)
        db.execute("BEGIN IMMEDIATE")
        channels = db.execute("SELECT channel_id, epoch FROM channels").fetchall()
        for channel_id, epoch in channels:
            fresh = new_epoch()
            db.execute("UPDATE channels SET epoch = ? WHERE channel_id = ?", (fresh, channel_id))
            # What was acknowledged before the backup is in it, at the same offsets.
            db.execute(
                "UPDATE acknowledgements SET epoch = ? WHERE channel_id = ? AND epoch = ?", (fresh, channel_id, epoch)
            )
        db.execute("COMMIT")
        return len(channels)
    finally:
        db.close()
