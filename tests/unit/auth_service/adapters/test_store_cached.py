"""The cache of key records: never older than a change that was seen."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from auth_service.adapters.store_cached import CachedKeyStore
from auth_service.core.audit import SYSTEM
from auth_service.core.errors import StoreUnavailableError
from auth_service.core.keys import KeyRecord
from auth_service.core.ports import RecordChange
from tests.unit.auth_service.fakes import NOW_MS, MemoryKeyStore, a_record


class SlowStore(MemoryKeyStore):
    """Lets a test decide when a read comes back, and with what it began."""

    def __init__(self) -> None:
        super().__init__()
        self.gate: asyncio.Event | None = None
        self.reading = asyncio.Event()

    async def get(self, key_id: str) -> KeyRecord | None:
        record = await super().get(key_id)
        if self.gate is not None:
            self.reading.set()
            await self.gate.wait()
        return record

    async def update(self, key_id: str, change: RecordChange, *, actor: str = SYSTEM) -> KeyRecord:
        record = await super().update(key_id, change, actor=actor)
        if self.fails:
            raise StoreUnavailableError("nobody knows")
        return record


@pytest.fixture
async def store() -> SlowStore:
    made = SlowStore()
    for number in range(4):
        await made.create(a_record(f"k{number}"))
    return made


async def test_a_record_is_read_once(store: SlowStore) -> None:
    cached = CachedKeyStore(store, size=10)
    first = await cached.get("k1")
    assert await cached.get("k1") is first
    assert store.reads == 1


async def test_unknown_ids_are_not_remembered(store: SlowStore) -> None:
    cached = CachedKeyStore(store, size=10)
    assert await cached.get("new") is None
    await cached.create(a_record("new"))
    assert await cached.get("new") is not None


async def test_the_least_recently_used_goes_first(store: SlowStore) -> None:
    cached = CachedKeyStore(store, size=2)
    for key_id in ("k0", "k1", "k0", "k2"):
        await cached.get(key_id)
    assert store.reads == 3
    await cached.get("k0")
    assert store.reads == 3
    await cached.get("k1")
    assert store.reads == 4


async def test_what_is_forgotten_is_read_again(store: SlowStore) -> None:
    cached = CachedKeyStore(store, size=10)
    for key_id in ("k0", "k1"):
        await cached.get(key_id)
    cached.forget("k0")
    for key_id in ("k0", "k1"):
        await cached.get(key_id)
    assert store.reads == 3
    cached.forget_all()
    for key_id in ("k0", "k1"):
        await cached.get(key_id)
    assert store.reads == 5


class Dropped:
    """Notes what is dropped with records."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def forget(self, key_id: str) -> None:
        self.told.append(key_id)

    def forget_all(self) -> None:
        self.told.append("all")


async def test_what_was_made_of_a_record_goes_with_it(store: SlowStore) -> None:
    cached, dropped = CachedKeyStore(store, size=2), Dropped()
    cached.forget_with_records(dropped)
    for key_id in ("k0", "k1", "k2"):
        await cached.get(key_id)
    assert dropped.told == ["k0"]
    await cached.delete("k1", now_ms=NOW_MS)
    cached.forget_all()
    assert dropped.told == ["k0", "k1", "all"]


async def test_a_change_made_here_is_found_at_once(store: SlowStore) -> None:
    cached = CachedKeyStore(store, size=10)
    await cached.get("k1")
    changed = await cached.update("k1", lambda record: replace(record, name="changed"))
    assert await cached.get("k1") == changed
    await cached.delete("k1", now_ms=NOW_MS)
    assert await cached.get("k1") is None


async def test_a_change_of_which_nobody_knows_is_looked_up(store: SlowStore) -> None:
    cached = CachedKeyStore(store, size=10)
    await cached.get("k1")

    def change_and_fail(record: KeyRecord) -> KeyRecord:
        store.fails = True
        return replace(record, name="changed")

    with pytest.raises(StoreUnavailableError):
        await cached.update("k1", change_and_fail)
    store.fails = False
    found = await cached.get("k1")
    assert found is not None
    assert found.name == "changed"


@pytest.mark.parametrize("forget", ["one", "other", "all"])
async def test_a_read_that_a_change_overtook_is_not_kept(store: SlowStore, forget: str) -> None:
    cached = CachedKeyStore(store, size=10)
    store.gate = asyncio.Event()
    reading = asyncio.create_task(cached.get("k1"))
    await store.reading.wait()
    await store.update("k1", lambda record: replace(record, name="changed"))
    if forget == "all":
        cached.forget_all()
    else:
        cached.forget("k1" if forget == "one" else "k2")
    store.gate.set()
    old = await reading
    assert old is not None
    assert old.name == "a key"
    store.gate = None
    found = await cached.get("k1")
    assert found is not None
    assert found.name == "changed"
