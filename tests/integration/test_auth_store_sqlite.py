"""The key store's file: privacy, foreign and newer files, locks, overload."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from auth_service.adapters.store_sqlite import store as store_sqlite
from auth_service.adapters.store_sqlite.schema import MIGRATIONS
from auth_service.adapters.store_sqlite.store import SqliteKeyStore
from auth_service.core.errors import StoreUnavailableError
from auth_service.core.keys import KeyRecord
from tests.support.waiting import eventually
from tests.unit.auth_service.fakes import a_record

pytestmark = pytest.mark.integration

Open = Callable[..., SqliteKeyStore]


@pytest.fixture
async def new_store(tmp_path: Path) -> AsyncIterator[Open]:
    """Makes stores on one file, not yet open, and closes them at the end."""
    made: list[SqliteKeyStore] = []

    def make(path: Path = tmp_path / "data" / "auth.db", timeout_s: float = 10.0) -> SqliteKeyStore:
        made.append(SqliteKeyStore(path, timeout_s=timeout_s, change_log_size=100, audit_log_size=100))
        return made[-1]

    yield make
    for store in made:
        store.close()


async def test_the_file_is_for_its_owner_alone_and_safe_against_power_loss(tmp_path: Path, new_store: Open) -> None:
    store = new_store()
    await store.open()
    await store.create(a_record("k1"))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "data").iterdir()}
    assert modes["auth.db"] == 0o600
    assert not any(mode & 0o077 for mode in modes.values()), modes
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    connection = store._connections[0]
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


async def test_a_file_of_a_later_version_is_refused_and_left_alone(tmp_path: Path, new_store: Open) -> None:
    path = tmp_path / "auth.db"
    with contextlib.closing(sqlite3.connect(path)) as later:
        later.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 4}")
    with pytest.raises(StoreUnavailableError, match=f"schema version {len(MIGRATIONS) + 4}.*made by a later version"):
        await new_store(path).open()
    with contextlib.closing(sqlite3.connect(path)) as later:
        assert later.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 4,)
        assert later.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)


@pytest.mark.parametrize("content", [b"no database, " * 1000, b"SQLite format 3\x00" + b"\xff" * 5000])
async def test_what_is_no_store_is_refused_by_name_and_left_alone(
    tmp_path: Path, new_store: Open, content: bytes
) -> None:
    path = tmp_path / "auth.db"
    path.write_bytes(content)
    with pytest.raises(StoreUnavailableError, match=f"the key store {path} cannot be opened"):
        await new_store(path).open()
    assert path.read_bytes() == content


async def test_a_database_of_somebody_else_is_refused(tmp_path: Path, new_store: Open) -> None:
    path = tmp_path / "auth.db"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE keys (theirs TEXT)")
    with pytest.raises(StoreUnavailableError, match="cannot be opened"):
        await new_store(path).open()


async def test_a_folder_that_is_a_file_is_refused(tmp_path: Path, new_store: Open) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StoreUnavailableError, match="cannot be opened"):
        await new_store(tmp_path / "data" / "auth.db").open()


@pytest.mark.parametrize("number", range(20))
async def test_two_that_open_a_new_file_at_once_agree(tmp_path: Path, new_store: Open, number: int) -> None:
    path = tmp_path / f"{number}.db"
    first, second = new_store(path), new_store(path)
    await asyncio.gather(first.open(), second.open())
    await first.create(a_record("k1"))
    assert (await second.create(a_record("k2"))).revision == 2


async def test_a_file_that_somebody_keeps_locked_is_no_store(tmp_path: Path, new_store: Open) -> None:
    path = tmp_path / "locked.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailableError, match="database is locked"):
            await new_store(path, timeout_s=0.4).open()


async def test_a_writer_elsewhere_makes_calls_wait_then_fail_and_holds_up_no_reader(
    tmp_path: Path, new_store: Open
) -> None:
    store = new_store(timeout_s=0.4)
    await store.open()
    await store.create(a_record("k1"))
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "auth.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError):
            await store.create(a_record("k2"))
        assert await store.get("k1") is not None
        other.execute("ROLLBACK")
    assert (await store.create(a_record("k3"))).revision == 2
    assert await store.get("k2") is None


class Gate:
    """A change that holds the store's thread up until it is let through."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, record: KeyRecord) -> KeyRecord:
        self.entered.set()
        assert self.open.wait(20)
        return record


async def test_calls_that_wait_are_bounded(new_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    store, gate = new_store(), Gate()
    await store.open()
    await store.create(a_record("k1"))
    monkeypatch.setattr(store_sqlite, "MAX_WAITING_CALLS", 3)
    waiting = [
        asyncio.create_task(store.update("k1", gate)),
        *[asyncio.create_task(store.revision()) for _ in range(2)],
    ]
    await asyncio.to_thread(gate.entered.wait)
    with pytest.raises(StoreUnavailableError, match="overloaded"):
        await store.revision()
    assert await store.get("k1") is not None
    gate.open.set()
    await asyncio.gather(*waiting)
    assert await store.revision() == 1


async def test_a_caller_that_gave_up_still_counts_until_its_call_has_run(
    new_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, gate = new_store(), Gate()
    await store.open()
    await store.create(a_record("k1"))
    monkeypatch.setattr(store_sqlite, "MAX_WAITING_CALLS", 1)
    impatient = asyncio.create_task(store.update("k1", gate))
    await asyncio.to_thread(gate.entered.wait)
    impatient.cancel()
    await asyncio.wait([impatient])
    with pytest.raises(StoreUnavailableError, match="overloaded"):
        await store.revision()
    gate.open.set()

    async def answers_again() -> bool:
        with contextlib.suppress(StoreUnavailableError):
            return await store.revision() == 1
        return False

    await eventually(answers_again)


async def test_a_call_that_takes_too_long_is_unavailable(new_store: Open) -> None:
    store, gate = new_store(timeout_s=0.2), Gate()
    await store.open()
    await store.create(a_record("k1"))
    with pytest.raises(StoreUnavailableError):
        await store.update("k1", gate)
    gate.open.set()
