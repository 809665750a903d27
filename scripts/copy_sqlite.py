#!/usr/bin/env python3
"""Copies a SQLite store while a service uses it, as it is at one moment, and checks the copy.

python3 scripts/copy_sqlite.py .tidewire/session.db backup/session.db

It needs nothing but Python 3, so that it runs in a container too, read from stdin: `python - SOURCE TARGET < copy_sqlite.py`.
The copy is written under another name and renamed when it is whole and on the disk: what lies at TARGET is always a whole one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from pathlib import Path

# Copied at once; between two such parts whoever writes to the store gets its turn.
PAGES_AT_ONCE = 4096
BUSY_TIMEOUT_S = 30.0


class CopyError(Exception):
    """There is no copy; the text says why."""


def copy_store(source: Path, target: Path) -> int:
    """Copy a store.

    Args:
        source: Its file; others may use it.
        target: Where the copy is to be; one that is there is replaced.

    Returns:
        The size of the copy in bytes.

    Raises:
        CopyError: the source is no store, or the copy is not whole.
        OSError: a folder or file cannot be used.
        sqlite3.Error: the same, as SQLite says it.
    """
    if not source.is_file():
        raise CopyError(f"{source}: there is no such file")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = target.with_name(f"{target.name}.part")
    draft.unlink(missing_ok=True)
    draft.touch(0o600)
    with (
        contextlib.closing(sqlite3.connect(source, timeout=BUSY_TIMEOUT_S)) as live,
        contextlib.closing(sqlite3.connect(draft)) as copy,
    ):
        live.execute("PRAGMA query_only = ON")
        live.backup(copy, pages=PAGES_AT_ONCE)
        # One file, without a log beside it.
        copy.execute("PRAGMA journal_mode = DELETE")
        _check(copy)
    _flush(draft)
    draft.replace(target)
    _flush(target.parent)
    return target.stat().st_size


def _check(copy: sqlite3.Connection) -> None:
    if not copy.execute("PRAGMA user_version").fetchone()[0]:
        raise CopyError("the source is no store of Tidewire")
    found = [row[0] for row in copy.execute("PRAGMA integrity_check")]
    if found != ["ok"]:
        raise CopyError(f"the copy is damaged: {'; '.join(found[:5])}")


def _flush(path: Path) -> None:
    """Return when a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code: 0 done, 1 there is no copy, 2 wrong use."""
    if len(argv) != 2:
        sys.stderr.write("usage: copy_sqlite.py SOURCE TARGET\n")
        return 2
    source, target = map(Path, argv)
    try:
        size = copy_store(source, target)
    except (CopyError, OSError, sqlite3.Error) as error:
        sys.stderr.write(f"copy_sqlite.py: {error}\n")
        return 1
    sys.stdout.write(f"{target}: {size} bytes, whole\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
