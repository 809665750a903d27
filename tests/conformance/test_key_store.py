"""Key stores: keys, the log of their changes, expiry, peppers."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from auth_service.core.errors import (
    AlreadyBootstrappedError,
    KeyExistsError,
    KeyNotFoundError,
    KeyRevokedError,
    LimitExceededError,
    PepperError,
    RevisionGoneError,
)
from auth_service.core.keys import KeyLimits, KeyRecord, KeyState, VerificationRate, change_state
from auth_service.core.permissions import PermissionSet
from auth_service.core.ports import Change, KeyStore
from auth_service.core.verification import VerdictCode
from tests.conformance.key_stores import StoreBench
from tests.unit.auth_service.fakes import NOW_MS, a_record

pytestmark = pytest.mark.integration

VALID, DISABLED, REVOKED = VerdictCode.VALID, VerdictCode.DISABLED, VerdictCode.REVOKED
EXPIRED, NOT_FOUND = VerdictCode.EXPIRED, VerdictCode.NOT_FOUND
MINUTE_MS = 60_000


async def set_state(store: KeyStore, key_id: str, state: KeyState, reason: str = "") -> KeyRecord:
    return await store.update(key_id, lambda record: change_state(record, state, reason, NOW_MS + 1))


async def told(store: KeyStore, after: int = 0) -> list[tuple[int, str, VerdictCode]]:
    return [(c.revision, c.key_id, c.code) for c in await store.changes_since(after, 1000)]


# Keys.


async def test_a_store_that_holds_as_many_keys_as_it_may_takes_no_more(store_bench: StoreBench) -> None:
    store = await store_bench.open(max_keys=3)
    for key_id in ("k1", "k2", "k3"):
        await store.create(a_record(key_id))
    before = await told(store)
    with pytest.raises(LimitExceededError, match="3 keys"):
        await store.create(a_record("k4"))
    with pytest.raises(LimitExceededError):
        await store.rotate("k1", lambda record: (replace(record, name="old"), a_record("k4")), actor="tests")
    with pytest.raises(KeyExistsError):
        await store.create(a_record("k1"))
    assert await told(store) == before
    found = await store.get("k1")
    assert found is not None
    assert found.name != "old", "nothing of the rotation is stored"
    await set_state(store, "k2", KeyState.DISABLED)
    await store.delete("k2", now_ms=NOW_MS)
    await store.create(a_record("k4"))
    with pytest.raises(LimitExceededError):
        await store.create(a_record("k5"))
    more = await store_bench.open(max_keys=4)
    await more.create(a_record("k5"))


async def test_an_empty_store(store: KeyStore) -> None:
    assert await store.get("k1") is None
    assert await store.revision() == 0
    assert list(await store.changes_since(0, 10)) == []
    page = await store.list_keys(after=0, limit=10, owner="")
    assert (list(page.records), page.next_after) == ([], None)
    assert await store.record_expiries(NOW_MS) is None
    assert list(await store.development_key_ids()) == []


async def test_a_key_is_kept_as_it_was_made(store_bench: StoreBench, store: KeyStore) -> None:
    record = KeyRecord(
        key_id="k1",
        secret_hash=bytes(range(32)),
        pepper_version=7,
        environment="test",
        prefix="tw_test_k1",
        owner="team \u00fc 'x'",
        name='a "key"',
        permissions=PermissionSet.of(["join:chat-*", "admin:*"]),
        allowed_domains=("d1", "d2"),
        allowed_workspaces=("w1",),
        limits=KeyLimits(1, 2, 2**53 - 1, 4, 5, 6, 7),
        create_ms=NOW_MS,
        update_ms=NOW_MS + 1,
        expire_ms=NOW_MS + MINUTE_MS,
        state=KeyState.DISABLED,
        state_reason="why\u2026",
        development=True,
        verification_rate=VerificationRate(5, 60_000),
        max_uses=10**15,
        replaced_by="k2",
        replaces="k0",
        own_expire_ms=NOW_MS + 2 * MINUTE_MS,
    )
    stored = await store.create(record)
    assert stored == replace(record, revision=1)
    assert await store.get("k1") == stored
    assert stored.permissions.allows("join", "chat-1")
    again = await store_bench.open()
    found = await again.get("k1")
    assert found == stored
    assert found.permissions.allows("join", "chat-1")


async def test_an_id_is_taken_once(store: KeyStore) -> None:
    first = await store.create(a_record("k1", owner="first"))
    with pytest.raises(KeyExistsError):
        await store.create(a_record("k1", owner="second"))
    assert await store.get("k1") == first
    assert await store.revision() == 1


async def test_the_first_admin_key_is_made_once_in_the_life_of_the_store(
    store_bench: StoreBench, store: KeyStore
) -> None:
    await store.create_first(a_record("admin-1"))
    with pytest.raises(AlreadyBootstrappedError):
        await store.create_first(a_record("admin-2"))
    await store.delete("admin-1", now_ms=NOW_MS)
    again = await store_bench.open()
    with pytest.raises(AlreadyBootstrappedError):
        await again.create_first(a_record("admin-1"))
    assert await store.get("admin-2") is None


async def test_a_first_admin_key_that_could_not_be_made_may_be_made_later(store: KeyStore) -> None:
    await store.create(a_record("k1"))
    with pytest.raises(KeyExistsError):
        await store.create_first(a_record("k1"))
    assert (await store.create_first(a_record("k2"))).revision == 2


async def test_changes_of_a_key(store: KeyStore) -> None:
    await store.create(a_record("k1"))
    disabled = await set_state(store, "k1", KeyState.DISABLED, "lost")
    assert (disabled.state, disabled.state_reason, disabled.revision) == (KeyState.DISABLED, "lost", 2)
    assert await store.get("k1") == disabled
    changed = await store.update("k1", lambda record: replace(record, name="other", owner="else"))
    assert await store.get("k1") == changed == replace(disabled, name="other", owner="else", revision=3)


async def test_a_change_to_the_same_is_none(store: KeyStore) -> None:
    before = await store.create(a_record("k1"))
    assert await set_state(store, "k1", KeyState.ACTIVE, "again") == before
    assert await store.revision() == 1


async def test_a_change_that_raises_leaves_everything_as_it_was(store: KeyStore) -> None:
    await store.create(a_record("k1"))
    revoked = await set_state(store, "k1", KeyState.REVOKED)
    with pytest.raises(KeyRevokedError):
        await set_state(store, "k1", KeyState.ACTIVE)
    assert await store.get("k1") == revoked
    assert await store.revision() == 2
    assert (await store.create(a_record("k2"))).revision == 3


async def test_a_key_that_is_not_there_cannot_change(store: KeyStore) -> None:
    with pytest.raises(KeyNotFoundError):
        await set_state(store, "k1", KeyState.DISABLED)
    with pytest.raises(KeyNotFoundError):
        await store.delete("k1", now_ms=NOW_MS)
    with pytest.raises(KeyNotFoundError):
        await store.rotate("k1", lambda record: (record, record), actor="somebody")
    assert await store.revision() == 0


async def test_a_deleted_key_is_gone_and_its_id_free(store: KeyStore) -> None:
    await store.create(a_record("k1"))
    await store.delete("k1", now_ms=NOW_MS)
    assert await store.get("k1") is None
    assert (await store.create(a_record("k1"))).revision == 3
    assert await told(store) == [(1, "k1", VALID), (2, "k1", NOT_FOUND), (3, "k1", VALID)]


async def test_changes_at_once_come_one_after_another(store: KeyStore) -> None:
    await store.create(a_record("k1"))

    def longer(record: KeyRecord) -> KeyRecord:
        return replace(record, name=record.name + "x")

    changed = await asyncio.gather(*[store.update("k1", longer) for _ in range(40)])
    assert sorted(record.revision for record in changed) == list(range(2, 42))
    final = await store.get("k1")
    assert final is not None
    assert final.name.endswith("x" * 40)


# Lists.


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 100])
async def test_pages_in_the_order_they_were_made(store: KeyStore, limit: int) -> None:
    for number in (3, 1, 2, 5, 4):
        await store.create(a_record(f"k{number}"))
    await store.update("k3", lambda record: replace(record, name="changed"))
    found: list[str] = []
    after: int | None = 0
    while after is not None:
        page = await store.list_keys(after=after, limit=limit, owner="")
        found += [record.key_id for record in page.records]
        assert len(page.records) <= limit
        after = page.next_after
    assert found == ["k3", "k1", "k2", "k5", "k4"]


async def test_pages_of_one_owner(store: KeyStore) -> None:
    for number in range(6):
        await store.create(a_record(f"k{number}", owner="odd" if number % 2 else "even"))
    first = await store.list_keys(after=0, limit=2, owner="odd")
    assert [record.key_id for record in first.records] == ["k1", "k3"]
    assert first.next_after is not None
    second = await store.list_keys(after=first.next_after, limit=2, owner="odd")
    assert ([record.key_id for record in second.records], second.next_after) == (["k5"], None)
    nobody = await store.list_keys(after=0, limit=2, owner="nobody")
    assert (list(nobody.records), nobody.next_after) == ([], None)


async def test_a_page_shows_whole_keys(store: KeyStore) -> None:
    stored = await store.create(a_record("k1", expire_ms=NOW_MS + 1, limits=KeyLimits(max_channels=3)))
    assert (await store.list_keys(after=0, limit=1, owner="")).records == [stored]


async def test_pages_end_behind_the_last_key(store: KeyStore) -> None:
    await store.create(a_record("k1"))
    page = await store.list_keys(after=10**17, limit=1, owner="")
    assert (list(page.records), page.next_after) == ([], None)


async def test_development_keys(store: KeyStore) -> None:
    await store.create(a_record("k1"))
    await store.create(a_record("dev_b", development=True))
    await store.create(a_record("dev_a", development=True))
    assert list(await store.development_key_ids()) == ["dev_a", "dev_b"]


# The log.


async def test_every_change_is_in_the_log_with_what_it_means(store: KeyStore) -> None:
    await store.create(a_record("k1"))
    await set_state(store, "k1", KeyState.DISABLED)
    await store.create(a_record("k2", expire_ms=NOW_MS))
    await set_state(store, "k1", KeyState.ACTIVE)
    await set_state(store, "k2", KeyState.REVOKED)
    await store.delete("k1", now_ms=NOW_MS)
    assert await told(store) == [
        (1, "k1", VALID),
        (2, "k1", DISABLED),
        (3, "k2", EXPIRED),
        (4, "k1", VALID),
        (5, "k2", REVOKED),
        (6, "k1", NOT_FOUND),
    ]
    assert await store.revision() == 6


async def test_the_log_is_read_in_parts(store: KeyStore) -> None:
    for number in range(5):
        await store.create(a_record(f"k{number}"))
    assert [change.revision for change in await store.changes_since(0, 2)] == [1, 2]
    assert [change.revision for change in await store.changes_since(2, 2)] == [3, 4]
    assert list(await store.changes_since(4, 2)) == [Change(5, "k4", VALID)]
    assert list(await store.changes_since(5, 2)) == []


async def test_a_revision_that_was_never_given_out_is_refused(store: KeyStore) -> None:
    await store.create(a_record("k1"))
    with pytest.raises(RevisionGoneError) as caught:
        await store.changes_since(2, 10)
    assert caught.value.revision == 2


async def test_the_log_is_bounded_and_says_so(store_bench: StoreBench) -> None:
    store = await store_bench.open(change_log_size=5)
    for number in range(8):
        await store.create(a_record(f"k{number}"))
    assert [change.revision for change in await store.changes_since(3, 10)] == [4, 5, 6, 7, 8]
    for revision in (2, 0):
        with pytest.raises(RevisionGoneError):
            await store.changes_since(revision, 10)
    assert await store.revision() == 8


async def test_another_life_goes_on_where_the_last_one_ended(store_bench: StoreBench, store: KeyStore) -> None:
    await store.create(a_record("k1"))
    await store_bench.close_all()
    again = await store_bench.open()
    assert await again.revision() == 1
    assert (await again.create(a_record("k2"))).revision == 2
    assert await told(again) == [(1, "k1", VALID), (2, "k2", VALID)]


async def test_what_one_process_changes_another_reads_in_the_log(store_bench: StoreBench, store: KeyStore) -> None:
    other = await store_bench.open()
    await store.create(a_record("k1"))
    assert await told(other) == [(1, "k1", VALID)]
    await set_state(other, "k1", KeyState.REVOKED)
    assert await told(store, 1) == [(2, "k1", REVOKED)]
    assert await store.revision() == 2


# Expiry.


async def test_an_expiry_is_logged_when_it_comes_and_once(store: KeyStore) -> None:
    await store.create(a_record("k1", expire_ms=NOW_MS + 10))
    await store.create(a_record("k2", expire_ms=NOW_MS + 20))
    await store.create(a_record("k3"))
    assert await store.record_expiries(NOW_MS + 9) == NOW_MS + 10
    assert await store.revision() == 3
    assert await store.record_expiries(NOW_MS + 10) == NOW_MS + 20
    assert await told(store, 3) == [(4, "k1", EXPIRED)]
    assert await store.record_expiries(NOW_MS + 15) == NOW_MS + 20
    assert await store.record_expiries(NOW_MS + 99) is None
    assert await told(store, 4) == [(5, "k2", EXPIRED)]


async def test_the_expired_key_itself_has_the_revision(store_bench: StoreBench, store: KeyStore) -> None:
    before = await store.create(a_record("k1", expire_ms=NOW_MS + 10))
    await store.record_expiries(NOW_MS + 10)
    assert await (await store_bench.open()).get("k1") == replace(before, revision=2)


async def test_an_expiry_of_a_revoked_key_does_not_hide_that_it_is_revoked(store: KeyStore) -> None:
    await store.create(a_record("k1", expire_ms=NOW_MS + 10))
    await set_state(store, "k1", KeyState.REVOKED)
    await store.record_expiries(NOW_MS + 10)
    assert {code for _, _, code in await told(store, 1)} == {REVOKED}
    assert await store.record_expiries(NOW_MS + 11) is None


async def test_a_change_that_told_of_the_expiry_is_enough(store: KeyStore) -> None:
    await store.create(a_record("k1", expire_ms=NOW_MS + 10))
    await store.update("k1", lambda record: replace(record, name="late", update_ms=NOW_MS + 10))
    assert await told(store, 1) == [(2, "k1", EXPIRED)]
    assert await store.record_expiries(NOW_MS + 10) is None
    assert await store.revision() == 2


async def test_a_key_that_was_made_expired_is_logged_once(store: KeyStore) -> None:
    await store.create(a_record("k1", expire_ms=NOW_MS - 1))
    assert await store.record_expiries(NOW_MS) is None
    assert await told(store) == [(1, "k1", EXPIRED)]


async def test_a_new_expiry_is_logged_anew(store: KeyStore) -> None:
    await store.create(a_record("k1", expire_ms=NOW_MS + 10))
    await store.record_expiries(NOW_MS + 10)
    await store.update("k1", lambda record: replace(record, expire_ms=NOW_MS + 50, update_ms=NOW_MS + 20))
    assert await store.record_expiries(NOW_MS + 20) == NOW_MS + 50
    assert await store.record_expiries(NOW_MS + 50) is None
    assert [code for _, _, code in await told(store, 1)] == [EXPIRED, VALID, EXPIRED]


async def test_a_deleted_key_does_not_expire(store: KeyStore) -> None:
    await store.create(a_record("k1", expire_ms=NOW_MS + 10))
    await store.delete("k1", now_ms=NOW_MS)
    assert await store.record_expiries(NOW_MS + 10) is None
    assert await store.revision() == 2


async def test_many_expiries_are_all_logged_in_the_end(store: KeyStore) -> None:
    for number in range(600):
        await store.create(a_record(f"k{number}", expire_ms=NOW_MS + 1 + number % 7))
    turns = 0
    while await store.record_expiries(NOW_MS + MINUTE_MS) is not None:
        turns += 1
        assert turns < 10
    expired = [change.key_id for change in await store.changes_since(600, 1000) if change.code is EXPIRED]
    assert sorted(expired) == sorted(f"k{number}" for number in range(600))


async def test_two_processes_log_an_expiry_once(store_bench: StoreBench, store: KeyStore) -> None:
    other = await store_bench.open()
    await store.create(a_record("k1", expire_ms=NOW_MS + 10))
    await asyncio.gather(*[each.record_expiries(NOW_MS + 10) for each in (store, other, store, other)])
    assert await told(store, 1) == [(2, "k1", EXPIRED)]


# Peppers.


async def test_the_peppers_of_the_keys_must_be_known(store_bench: StoreBench, store: KeyStore) -> None:
    await store.check_peppers({1: "one"})
    await store.create(a_record("k1", pepper_version=1))
    again = await store_bench.open()
    await again.check_peppers({1: "one"})
    for wrong in ({1: "another"}, {2: "two"}, {}):
        with pytest.raises(PepperError):
            await again.check_peppers(wrong)
    await again.check_peppers({2: "two", 1: "one"})
    with pytest.raises(PepperError):
        await again.check_peppers({2: "two", 1: "another"})


async def test_a_pepper_that_no_key_uses_may_change(store: KeyStore) -> None:
    await store.check_peppers({1: "one"})
    await store.check_peppers({1: "another"})
    await store.create(a_record("k1", pepper_version=1))
    await store.check_peppers({1: "another"})
    with pytest.raises(PepperError):
        await store.check_peppers({1: "one"})
    await store.delete("k1", now_ms=NOW_MS)
    await store.check_peppers({1: "one"})


# Canaries.


async def test_a_canary_is_read_back_and_touches_nothing(store_bench: StoreBench, store: KeyStore) -> None:
    await store.create(a_record("k1"))
    other = await store_bench.open()
    assert await asyncio.gather(store.canary(7), other.canary(2**47)) in ([7, 2**47], [2**47, 2**47])
    assert await store.canary(8) == 8
    assert await store.revision() == 1
