"""Copies of SQLite stores: whole, or not there."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
from pathlib import Path

import pytest

from scripts import copy_sqlite

ROWS = 5000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with some pages, in WAL mode, as services have it."""
    file = tmp_path / "store.db"
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA user_version = 7")
        db.execute("CREATE TABLE t (n INTEGER, text TEXT)")
        db.executemany("INSERT INTO t VALUES (?, ?)", ((n, "x" * 100) for n in range(ROWS)))
        db.commit()
    return file


def rows(file: Path) -> int:
    with contextlib.closing(sqlite3.connect(file)) as db:
        return int(db.execute("SELECT count(*) FROM t").fetchone()[0])


def test_the_copy_has_everything_that_was_committed_and_is_one_file(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "folder" / "copy.db"
    with contextlib.closing(sqlite3.connect(store)) as user:
        user.execute("INSERT INTO t VALUES (-1, 'committed: it is in the log, not in the file')")
        user.commit()
        user.execute("INSERT INTO t VALUES (-2, 'not committed')")
        assert copy_sqlite.main([str(store), str(target)]) == 0
    assert [file.name for file in target.parent.iterdir()] == ["copy.db"]
    assert rows(target) == ROWS + 1
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_an_older_copy_is_replaced(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("something else")
    assert copy_sqlite.main([str(store), str(target)]) == 0
    assert rows(target) == ROWS


def test_what_cannot_be_copied_leaves_the_older_copy(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "copy.db"
    target.write_text("older")
    damaged = bytearray(store.read_bytes())
    damaged[3 * 4096 : 4 * 4096] = b"\xff" * 4096
    for name, content in {
        "text.db": b"no database at all, but long enough to be read",
        "bad.db": bytes(damaged),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert copy_sqlite.main([str(tmp_path / name), str(target)]) == 1
    assert copy_sqlite.main([str(tmp_path / "away.db"), str(target)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert "file is not a database" in said[0]
    assert "there is no such file" in said[2]
    assert target.read_text() == "older"


def test_a_database_of_somebody_else_is_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as db:
        db.execute("CREATE TABLE t (n INTEGER)")
    assert copy_sqlite.main([str(tmp_path / "other.db"), str(tmp_path / "copy.db")]) == 1
    assert "is no store of Tidewire" in capsys.readouterr().err


def test_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert copy_sqlite.main(["one"]) == 2
    assert capsys.readouterr().err.startswith("usage:")
