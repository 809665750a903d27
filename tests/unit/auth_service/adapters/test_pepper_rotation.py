"""Keys move to the current pepper in the background."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY

from auth_service.adapters.peppers import rotation as pepper_rotation
from auth_service.adapters.peppers.rotation import PepperRotation
from tests.support.waiting import eventually
from tests.unit.auth_service.fakes import MemoryKeyStore, a_record

NEW_HASH = bytes(range(32))


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("tidewire_auth_rehashes_total", {"outcome": outcome}) or 0.0


@pytest.fixture
def store() -> MemoryKeyStore:
    return MemoryKeyStore()


async def test_a_key_is_moved(store: MemoryKeyStore) -> None:
    record, rotation, before = await store.create(a_record()), PepperRotation(store, 2), counted("done")
    for _ in range(3):
        rotation.add(record, NEW_HASH)
    await rotation.close(5.0)
    found = await store.get("k1")
    assert found is not None
    assert (found.secret_hash, found.pepper_version) == (NEW_HASH, 2)
    assert counted("done") == before + 1


async def test_who_comes_too_late_is_counted(store: MemoryKeyStore) -> None:
    rotation, before = PepperRotation(store, 2), counted("overtaken")
    rotation.add(a_record("gone"), NEW_HASH)
    await rotation.close(5.0)
    assert counted("overtaken") == before + 1


async def test_a_store_that_is_away_is_counted_and_the_next_verification_tries_again(
    store: MemoryKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pepper_rotation, "PAUSE_S", 0.0)
    record, rotation, before = await store.create(a_record()), PepperRotation(store, 2), counted("failed")
    store.fails = True
    rotation.add(record, NEW_HASH)

    async def failed() -> bool:
        return counted("failed") == before + 1

    await eventually(failed)
    store.fails = False
    rotation.add(record, NEW_HASH)
    await rotation.close(5.0)
    found = await store.get("k1")
    assert found is not None
    assert found.pepper_version == 2


async def test_what_is_too_much_is_left_for_later(store: MemoryKeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pepper_rotation, "MAX_WAITING_KEYS", 1)
    rotation, before = PepperRotation(store, 2), counted("dropped")
    for number in range(3):
        rotation.add(await store.create(a_record(f"k{number}")), NEW_HASH)
    await rotation.close(5.0)
    assert counted("dropped") == before + 2


async def test_the_end_waits_no_longer_than_it_may(store: MemoryKeyStore) -> None:
    record, rotation = await store.create(a_record()), PepperRotation(store, 2)
    store.fails = True
    rotation.add(record, NEW_HASH)
    await asyncio.sleep(0)
    await rotation.close(0.01)  # it pauses for a second
    await PepperRotation(store, 2).close(0.01)
