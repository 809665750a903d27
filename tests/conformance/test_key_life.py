"""Key stores: rotation, and the audit log that every change is in."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from auth_service.core.audit import SYSTEM, AuditAction, AuditEntry
from auth_service.core.errors import KeyExistsError, KeyNotActiveError, KeyNotFoundError
from auth_service.core.keys import KeyRecord, KeyState, VerificationRate, change_state
from auth_service.core.ports import KeyStore
from auth_service.core.verification import VerdictCode
from tests.conformance.key_stores import StoreBench
from tests.unit.auth_service.fakes import NOW_MS, a_record

pytestmark = pytest.mark.integration

WHO = "key:boss"


def successor(record: KeyRecord, key_id: str = "k2", *, end_ms: int = NOW_MS + 500) -> tuple[KeyRecord, KeyRecord]:
    """Return a key that is rotated, and the one that takes its place."""
    old = replace(record, expire_ms=end_ms, replaced_by=key_id, update_ms=NOW_MS + 3)
    return old, replace(record, key_id=key_id, secret_hash=b"n" * 32, pepper_version=2, replaces="k1", revision=0)


async def audit(store: KeyStore, before: int = 0, limit: int = 1000, key_id: str = "") -> list[AuditEntry]:
    """Return the audit log, newest first."""
    return list(await store.audit_entries(before=before, limit=limit, key_id=key_id))


def shown(record: KeyRecord | None) -> KeyRecord | None:
    """Return a record as the audit log has it."""
    return None if record is None else replace(record, secret_hash=b"", pepper_version=0)


# Rotation.


async def test_both_keys_of_a_rotation_are_stored_at_once(store_bench: StoreBench, store: KeyStore) -> None:
    before = await store.create(a_record("k1", verification_rate=VerificationRate(5, 60_000), max_uses=9))
    old, new = await store.rotate("k1", successor, actor=WHO)
    assert old == replace(successor(before)[0], revision=2)
    assert new == replace(successor(before)[1], revision=3)
    again = await store_bench.open()
    assert [await again.get(key_id) for key_id in ("k1", "k2")] == [old, new]
    assert (await again.list_keys(after=0, limit=10, owner="team")).records == [old, new]
    changes = await again.changes_since(1, 10)
    assert [(change.key_id, change.code) for change in changes] == [
        ("k1", VerdictCode.VALID),
        ("k2", VerdictCode.VALID),
    ]


async def test_the_end_of_grace_is_logged_when_it_comes(store: KeyStore) -> None:
    await store.create(a_record("k1"))
    await store.rotate("k1", successor, actor=WHO)
    assert await store.record_expiries(NOW_MS + 499) == NOW_MS + 500
    assert await store.record_expiries(NOW_MS + 500) is None
    (change,) = await store.changes_since(3, 10)
    assert (change.key_id, change.code) == ("k1", VerdictCode.EXPIRED)


async def test_without_grace_the_old_key_ends_at_once(store: KeyStore) -> None:
    await store.create(a_record("k1"))
    await store.rotate("k1", lambda record: successor(record, end_ms=NOW_MS), actor=WHO)
    assert [(change.key_id, change.code) for change in await store.changes_since(1, 10)] == [
        ("k1", VerdictCode.EXPIRED),
        ("k2", VerdictCode.VALID),
    ]
    assert await store.record_expiries(NOW_MS + 500) is None


async def test_a_rotation_that_cannot_be_leaves_everything_as_it_was(store: KeyStore) -> None:
    stored = [await store.create(a_record(key_id)) for key_id in ("k1", "k2")]

    def refuse(record: KeyRecord) -> tuple[KeyRecord, KeyRecord]:
        raise KeyNotActiveError(record.key_id, "disabled")

    with pytest.raises(KeyNotActiveError):
        await store.rotate("k1", refuse, actor=WHO)
    with pytest.raises(KeyExistsError):
        await store.rotate("k1", successor, actor=WHO)
    assert [await store.get(key_id) for key_id in ("k1", "k2")] == stored
    assert await store.revision() == 2
    assert len(await audit(store)) == 2


async def test_rotations_and_updates_at_once_lose_nothing(store_bench: StoreBench) -> None:
    stores = [await store_bench.open() for _ in range(2)]
    await stores[0].create(a_record("k1", name=""))

    async def rename(number: int) -> None:
        await stores[number % 2].update("k1", lambda record: replace(record, name=record.name + "x"), actor=WHO)

    async def rotate(number: int) -> None:
        await stores[number % 2].rotate("k1", lambda record: successor(record, f"n{number}"), actor=WHO)

    await asyncio.gather(*(rename(number) for number in range(10)), *(rotate(number) for number in range(10)))
    old = await stores[0].get("k1")
    assert old is not None
    assert old.name == "x" * 10
    assert old.replaced_by in {f"n{number}" for number in range(10)}
    entries = await audit(stores[1])
    assert len(entries) == 1 + 10 + 2 * 10
    assert [entry.revision for entry in entries] == list(range(31, 0, -1))


# The audit log.


async def test_every_change_is_in_the_log_with_what_it_changed(store_bench: StoreBench, store: KeyStore) -> None:
    made = await store.create(a_record("k1"), actor=WHO)
    renamed = await store.update("k1", lambda record: replace(record, name="other"), actor="service-token")
    disabled = await store.update(
        "k1", lambda record: change_state(record, KeyState.DISABLED, "lost \u00fc", NOW_MS + 5), actor=WHO
    )
    enabled = await store.update(
        "k1", lambda record: change_state(record, KeyState.ACTIVE, "", NOW_MS + 6), actor="certificate:ops.tidewire"
    )
    old, new = await store.rotate("k1", successor, actor=WHO)
    await store.delete("k1", now_ms=NOW_MS + 9, actor=WHO, reason="done with")
    again = await store_bench.open()
    entries = await audit(again)
    assert [(entry.revision, entry.action, entry.actor, entry.reason) for entry in reversed(entries)] == [
        (1, AuditAction.CREATED, WHO, ""),
        (2, AuditAction.UPDATED, "service-token", ""),
        (3, AuditAction.DISABLED, WHO, "lost \u00fc"),
        (4, AuditAction.ENABLED, "certificate:ops.tidewire", ""),
        (5, AuditAction.ROTATED, WHO, ""),
        (6, AuditAction.CREATED, WHO, ""),
        (7, AuditAction.DELETED, WHO, "done with"),
    ]
    steps = [(None, made), (made, renamed), (renamed, disabled), (disabled, enabled), (enabled, old), (None, new)]
    assert [(entry.before, entry.after) for entry in reversed(entries)] == [
        *((shown(before), shown(after)) for before, after in steps),
        (shown(old), None),
    ]
    assert entries[0].time_ms == NOW_MS + 9
    assert entries[4].time_ms == NOW_MS + 5


async def test_what_the_service_does_by_itself_is_the_systems(store: KeyStore) -> None:
    await store.create_first(a_record("k1"))
    await store.delete("k1", now_ms=NOW_MS)
    assert [(entry.action, entry.actor) for entry in await audit(store)] == [
        (AuditAction.DELETED, SYSTEM),
        (AuditAction.CREATED, SYSTEM),
    ]


async def test_what_changes_nothing_or_fails_is_not_in_the_log(store: KeyStore) -> None:
    await store.create(a_record("k1"))
    await store.update("k1", lambda record: record, actor=WHO)
    with pytest.raises(KeyExistsError):
        await store.create(a_record("k1"), actor=WHO)
    with pytest.raises(KeyNotFoundError):
        await store.delete("k2", now_ms=NOW_MS, actor=WHO)
    assert len(await audit(store)) == 1


async def test_an_expiry_is_nobodys_change(store: KeyStore) -> None:
    await store.create(a_record("k1", expire_ms=NOW_MS + 5))
    await store.record_expiries(NOW_MS + 5)
    assert await store.revision() == 2
    assert len(await audit(store)) == 1


async def test_a_hash_under_another_pepper_is_no_change(store: KeyStore) -> None:
    record = await store.create(a_record("k1"))
    assert await store.rehash(record, b"o" * 32, 2)
    assert len(await audit(store)) == 1


async def test_the_log_is_read_in_pages(store: KeyStore) -> None:
    for number in range(5):
        await store.create(a_record(f"k{number}"))
    assert [entry.revision for entry in await audit(store, limit=2)] == [5, 4]
    assert [entry.revision for entry in await audit(store, before=4, limit=2)] == [3, 2]
    assert [entry.revision for entry in await audit(store, before=2)] == [1]
    assert await audit(store, before=1) == []


async def test_the_log_of_one_key_is_read_in_pages(store: KeyStore) -> None:
    # Ids that begin alike, and changes of other keys between.
    for key_id in ("k1", "k10", "k", "other"):
        await store.create(a_record(key_id))
    for number in range(6):
        key_id = ("k1", "k10")[number % 2]
        await store.update(key_id, lambda record, number=number: replace(record, name=f"n{number}"))  # type: ignore[misc]
    await store.delete("k1", now_ms=NOW_MS)
    assert [entry.revision for entry in await audit(store, key_id="k1")] == [11, 9, 7, 5, 1]
    assert [entry.revision for entry in await audit(store, key_id="k1", limit=2)] == [11, 9]
    assert [entry.revision for entry in await audit(store, key_id="k1", limit=2, before=9)] == [7, 5]
    assert [entry.revision for entry in await audit(store, key_id="k1", limit=2, before=5)] == [1]
    assert await audit(store, key_id="k1", before=1) == []
    assert await audit(store, key_id="nobody") == []
    everything = await audit(store)
    for key_id in ("k", "k1", "k10", "other"):
        assert await audit(store, key_id=key_id) == [entry for entry in everything if entry.key_id == key_id]


async def test_what_the_log_does_not_keep_is_not_found_by_its_key(store_bench: StoreBench) -> None:
    store = await store_bench.open(audit_log_size=5)
    await store.create(a_record("k0"))
    for number in range(200):
        await store.create(a_record(f"k{number % 3}-{number}"))
        await store.update("k0", lambda record, number=number: replace(record, name=f"n{number}"))  # type: ignore[misc]
    kept = await audit(store)
    assert kept[-1].revision > 1
    assert await audit(store, key_id="k0") == [entry for entry in kept if entry.key_id == "k0"]


async def test_the_log_keeps_the_newest(store_bench: StoreBench) -> None:
    store = await store_bench.open(audit_log_size=5)
    for number in range(200):
        await store.create(a_record(f"k{number}"))
    revisions = [entry.revision for entry in await audit(store)]
    assert revisions == list(range(200, 200 - len(revisions), -1))
    assert 5 <= len(revisions) < 5 + 64


async def test_changes_at_once_through_two_are_all_in_the_log(store_bench: StoreBench) -> None:
    stores = [await store_bench.open() for _ in range(2)]
    await stores[0].create(a_record("k1", name=""))

    async def append(number: int) -> None:
        await stores[number % 2].update(
            "k1", lambda record: replace(record, name=record.name + "x"), actor=f"n{number}"
        )

    await asyncio.gather(*(append(number) for number in range(20)))
    entries = list(reversed(await audit(stores[0])))
    assert {entry.actor for entry in entries[1:]} == {f"n{number}" for number in range(20)}
    assert [entry.after.name for entry in entries if entry.after] == ["x" * length for length in range(21)]
    assert [entry.before for entry in entries[1:]] == [entry.after for entry in entries[:-1]]
