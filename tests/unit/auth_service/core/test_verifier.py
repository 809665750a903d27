"""From the text a holder sent to a verdict."""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from auth_service.core.errors import (
    CallerNotAllowedError,
    CallerUnknownError,
    InvalidFieldError,
    StoreUnavailableError,
)
from auth_service.core.hashing import Peppers
from auth_service.core.key_format import KeyText, generate
from auth_service.core.keys import KeyLimits, KeyRecord, KeyState, VerificationRate
from auth_service.core.permissions import PermissionSet
from auth_service.core.quick_verdicts import DIGEST_KEY_BYTES, QuickVerdicts
from auth_service.core.throttle import KNOWN_FOR_US, Throttle
from auth_service.core.verification import NO_LIMITS, NO_USE, Use, Verdict, VerdictCode
from auth_service.core.verifier import NO_HOOKS, Attempt, Hooks, Verifier
from tests.unit.auth_service.fakes import NOW_MS, PEPPERS, FakeClock, MemoryKeyStore, MemoryUses, a_record

REVISION = 7
VERIFY = Use(action="admin", channel="verify")


@pytest.fixture
def store() -> MemoryKeyStore:
    return MemoryKeyStore()


def a_verifier(
    store: MemoryKeyStore,
    uses: MemoryUses | None = None,
    *,
    clock: FakeClock | None = None,
    peppers: Peppers = PEPPERS,
    named_keys: Mapping[str, str] = {},
    hooks: Hooks = NO_HOOKS,
    per_minute: int = 0,
    quick: QuickVerdicts | None = None,
) -> Verifier:
    return Verifier(
        store,
        uses or MemoryUses(),
        Throttle(per_minute=per_minute, per_minute_of_address=0, size=10),
        peppers,
        clock or FakeClock(),
        ttl_ms=1000,
        seen_revision=lambda: REVISION,
        named_keys=named_keys,
        hooks=hooks,
        quick=quick,
    )


@pytest.fixture
def verifier(store: MemoryKeyStore) -> Verifier:
    named = {"development": "dev_development"}
    return a_verifier(store, named_keys=named)


async def stored(store: MemoryKeyStore, **fields: object) -> KeyText:
    key = generate("live", secrets.randbelow)
    await store.create(a_record(key.key_id, secret_hash=PEPPERS.hash(key.secret), **fields))
    return key


async def test_a_good_key(store: MemoryKeyStore, verifier: Verifier) -> None:
    key = await stored(store)
    verdict = await verifier.verify(key.text)
    assert (verdict.code, verdict.key_id, verdict.revision) == (VerdictCode.VALID, key.key_id, REVISION)
    assert verdict.cache_ttl_ms == 1000


async def test_unknown_malformed_and_wrong_secret_cannot_be_told_apart(
    store: MemoryKeyStore, verifier: Verifier
) -> None:
    key = await stored(store)
    unknown = generate("live", secrets.randbelow).text
    wrong = KeyText("live", key.key_id, generate("live", secrets.randbelow).secret).text
    verdicts = {await verifier.verify(text) for text in (unknown, wrong, key.text[:-1] + "_", "", "tw")}
    assert len(verdicts) == 1
    assert verdicts.pop().code is VerdictCode.NOT_FOUND


async def test_a_revoked_key_is_told_only_to_whoever_has_its_secret(store: MemoryKeyStore, verifier: Verifier) -> None:
    key = await stored(store, state=KeyState.REVOKED)
    wrong = KeyText("live", key.key_id, generate("live", secrets.randbelow).secret).text
    assert (await verifier.verify(key.text)).code is VerdictCode.REVOKED
    assert (await verifier.verify(wrong)).code is VerdictCode.NOT_FOUND


async def test_a_malformed_key_never_reaches_the_store(store: MemoryKeyStore, verifier: Verifier) -> None:
    key = generate("live", secrets.randbelow).text
    mistyped = key[:-1] + ("a" if key[-1] != "a" else "b")
    for text in (mistyped, "valid-test-key", "x" * 10_000):
        await verifier.verify(text)
    assert store.reads == 0


async def test_a_key_known_by_name(store: MemoryKeyStore, verifier: Verifier) -> None:
    assert (await verifier.verify("development")).code is VerdictCode.NOT_FOUND
    await store.create(a_record("dev_development", secret_hash=PEPPERS.hash("development")))
    assert (await verifier.verify("development")).code is VerdictCode.VALID


async def test_a_store_that_is_away_is_a_fault_and_no_denial(store: MemoryKeyStore, verifier: Verifier) -> None:
    key = await stored(store)
    store.fails = True
    with pytest.raises(StoreUnavailableError):
        await verifier.verify(key.text)


async def test_check_by_id(store: MemoryKeyStore, verifier: Verifier) -> None:
    await store.create(a_record("k1", permissions=PermissionSet.of(["join:a"])))
    assert (await verifier.check("k1", Use(action="join", channel="a"))).code is VerdictCode.VALID
    denied = await verifier.check("k1", Use(action="join", channel="b"))
    assert (denied.code, denied.missing) == (VerdictCode.INSUFFICIENT_PERMISSIONS, "join:b")
    assert (await verifier.check("nobody", Use())).code is VerdictCode.NOT_FOUND


async def test_a_caller_with_an_admin_key_is_let_in(store: MemoryKeyStore, verifier: Verifier) -> None:
    key = await stored(store, permissions=PermissionSet.of(["admin:*"]))
    assert await verifier.admit(key.text, VERIFY) == key.key_id
    assert await verifier.admit_again(key.key_id, VERIFY) == key.key_id


@pytest.mark.parametrize("fields", [{"state": KeyState.REVOKED}, {"state": KeyState.DISABLED}, {"expire_ms": NOW_MS}])
async def test_a_caller_with_a_dead_key_is_unknown(
    store: MemoryKeyStore, verifier: Verifier, fields: dict[str, object]
) -> None:
    key = await stored(store, **fields)
    with pytest.raises(CallerUnknownError):
        await verifier.admit(key.text, VERIFY)
    with pytest.raises(CallerUnknownError):
        await verifier.admit_again(key.key_id, VERIFY)


async def test_a_caller_with_no_key_of_ours_is_unknown(verifier: Verifier) -> None:
    with pytest.raises(CallerUnknownError):
        await verifier.admit("anything", VERIFY)


@pytest.mark.parametrize(
    "fields",
    [
        {"permissions": PermissionSet.of(["join:*", "admin:check"])},
        {"allowed_domains": ("a",)},
        {"allowed_workspaces": ("a",)},
    ],
)
async def test_a_caller_whose_key_is_no_admin_of_everything_may_not(
    store: MemoryKeyStore, verifier: Verifier, fields: dict[str, object]
) -> None:
    key = await stored(store, **fields)
    with pytest.raises(CallerNotAllowedError):
        await verifier.admit(key.text, VERIFY)


# What is charged.


ONE_A_SECOND = VerificationRate(1, 1000)


async def test_a_key_without_bounds_costs_no_call(store: MemoryKeyStore) -> None:
    uses = MemoryUses()
    verifier = a_verifier(store, uses)
    key = await stored(store)
    for verdict in (await verifier.verify(key.text), await verifier.introspect(key.text)):
        assert (verdict.code, verdict.cache_ttl_ms, verdict.remaining_uses) == (VerdictCode.VALID, 1000, None)
    await verifier.verify_all([Attempt(key.text)])
    assert uses.calls == 0


async def test_uses_are_used_up_and_told(store: MemoryKeyStore) -> None:
    uses = MemoryUses()
    verifier = a_verifier(store, uses)
    key = await stored(store, max_uses=2, limits=KeyLimits(max_channels=3), expire_ms=NOW_MS + 10**9)
    verdicts = [await verifier.verify(key.text) for _ in range(3)]
    assert [(v.code, v.remaining_uses) for v in verdicts] == [
        (VerdictCode.VALID, 1),
        (VerdictCode.VALID, 0),
        (VerdictCode.USAGE_EXCEEDED, None),
    ]
    assert {v.cache_ttl_ms for v in verdicts} == {0}
    assert await uses.use_counts([key.key_id]) == {key.key_id: 2}
    denied = verdicts[-1]
    assert (denied.key_id, denied.expire_ms, denied.revision) == (key.key_id, NOW_MS + 10**9, REVISION)
    assert (denied.owner, denied.permissions, denied.limits) == ("", (), NO_LIMITS)


async def test_a_rate_says_when_to_come_again_and_then_lets_in(store: MemoryKeyStore) -> None:
    clock = FakeClock()
    verifier = a_verifier(store, clock=clock)
    key = await stored(store, verification_rate=ONE_A_SECOND)
    first = await verifier.verify(key.text)
    assert (first.code, first.cache_ttl_ms, first.remaining_uses) == (VerdictCode.VALID, 0, None)
    clock.now_ms += 400
    denied = await verifier.verify(key.text)
    assert (denied.code, denied.retry_after_ms, denied.key_id) == (VerdictCode.RATE_LIMITED, 600, key.key_id)
    assert (denied.owner, denied.permissions, denied.cache_ttl_ms) == ("", (), 0)
    clock.now_ms += 600
    assert (await verifier.verify(key.text)).code is VerdictCode.VALID


async def test_a_look_says_the_same_and_charges_nothing(store: MemoryKeyStore) -> None:
    uses = MemoryUses()
    verifier = a_verifier(store, uses)
    key = await stored(store, max_uses=1, verification_rate=VerificationRate(2, 1000))
    for _ in range(3):
        look = await verifier.introspect(key.text)
        assert (look.code, look.remaining_uses, look.cache_ttl_ms) == (VerdictCode.VALID, 0, 0)
    assert await verifier.verify(key.text) == look
    assert await verifier.introspect(key.text) == await verifier.verify(key.text)
    assert (await verifier.introspect(key.text)).code is VerdictCode.USAGE_EXCEEDED


@pytest.mark.parametrize(
    ("fields", "use", "code"),
    [
        ({"state": KeyState.DISABLED}, Use(), VerdictCode.DISABLED),
        ({"expire_ms": NOW_MS}, Use(), VerdictCode.EXPIRED),
        ({"allowed_domains": ("a",)}, Use(domain="b"), VerdictCode.FORBIDDEN),
        ({"permissions": PermissionSet.of(["join:a"])}, Use(action="join"), VerdictCode.INSUFFICIENT_PERMISSIONS),
    ],
)
async def test_what_is_denied_for_another_reason_is_not_charged(
    store: MemoryKeyStore, fields: dict[str, object], use: Use, code: VerdictCode
) -> None:
    uses = MemoryUses()
    key = await stored(store, max_uses=1, **fields)
    verdict = await a_verifier(store, uses).verify(key.text, use)
    assert (verdict.code, uses.calls) == (code, 0)
    assert verdict.cache_ttl_ms > 0 or code is VerdictCode.EXPIRED


async def test_a_check_by_id_and_a_caller_are_not_charged(store: MemoryKeyStore) -> None:
    uses = MemoryUses()
    verifier = a_verifier(store, uses)
    key = await stored(store, max_uses=1)
    assert (await verifier.check(key.key_id, Use(action="admin"))).cache_ttl_ms == 1000
    await verifier.admit(key.text, VERIFY)
    assert uses.calls == 0


async def test_many_are_charged_in_their_order_and_in_one_call(store: MemoryKeyStore) -> None:
    uses = MemoryUses()
    verifier = a_verifier(store, uses)
    bounded, free, other = await stored(store, max_uses=2), await stored(store), await stored(store, max_uses=1)
    texts = [bounded.text, free.text, bounded.text, "no key", other.text, bounded.text]
    verdicts = await verifier.verify_all([Attempt(text) for text in texts])
    assert [(v.code.name, v.key_id, v.remaining_uses) for v in verdicts] == [
        ("VALID", bounded.key_id, 1),
        ("VALID", free.key_id, None),
        ("VALID", bounded.key_id, 0),
        ("NOT_FOUND", "", None),
        ("VALID", other.key_id, 0),
        ("USAGE_EXCEEDED", bounded.key_id, None),
    ]
    assert uses.calls == 1


async def test_a_store_of_uses_that_is_away_is_a_fault(store: MemoryKeyStore) -> None:
    uses = MemoryUses()
    uses.fails = True
    verifier = a_verifier(store, uses)
    key = await stored(store, max_uses=1)
    with pytest.raises(StoreUnavailableError):
        await verifier.verify(key.text)
    with pytest.raises(StoreUnavailableError):
        await verifier.introspect(key.text)


# Attempts that fail.


HERE, THERE = "192.0.2.1", "192.0.2.2"


async def test_who_has_failed_too_often_waits_and_learns_nothing(store: MemoryKeyStore) -> None:
    told: list[str] = []
    hooks = Hooks(throttled=lambda: told.append("throttled"))
    verifier = a_verifier(store, per_minute=2, hooks=hooks)
    key = await stored(store)
    wrong = KeyText("live", key.key_id, generate("live", secrets.randbelow).secret).text
    mistyped = key.text[:-1] + ("a" if key.text[-1] != "a" else "b")
    for text in (wrong, mistyped):
        assert (await verifier.verify(text, client_address=HERE)).code is VerdictCode.NOT_FOUND
    reads = store.reads
    throttled = Verdict(VerdictCode.RATE_LIMITED, REVISION, 0, retry_after_ms=30_000)
    for text in (key.text, wrong, mistyped, key.text[:12]):
        assert await verifier.verify(text, client_address=HERE) == throttled
        assert await verifier.introspect(text, client_address=HERE) == throttled
        assert await verifier.verify_all([Attempt(text, client_address=HERE)]) == [throttled]
    assert store.reads == reads
    assert len(told) == 12
    for elsewhere in (THERE, ""):
        assert (await verifier.verify(key.text, client_address=elsewhere)).code is VerdictCode.VALID


@pytest.mark.parametrize("jump_ms", [-3_600_000, 3_600_000])
async def test_a_clock_that_jumps_makes_nobody_wait_longer_or_less(store: MemoryKeyStore, jump_ms: int) -> None:
    clock = FakeClock()
    verifier = a_verifier(store, clock=clock, per_minute=1)
    key = await stored(store)
    assert (await verifier.verify("wrong", client_address=HERE)).code is VerdictCode.NOT_FOUND
    clock.now_ms += jump_ms
    waiting = await verifier.verify("wrong", client_address=HERE)
    assert (waiting.code, waiting.retry_after_ms) == (VerdictCode.RATE_LIMITED, 60_000)
    clock.monotonic_s += 60
    assert (await verifier.verify("wrong", client_address=HERE)).code is VerdictCode.NOT_FOUND
    assert (await verifier.verify(key.text, client_address=THERE)).code is VerdictCode.VALID


async def test_looks_that_fail_count_too(store: MemoryKeyStore) -> None:
    verifier = a_verifier(store, per_minute=1)
    assert (await verifier.introspect("wrong", client_address=HERE)).code is VerdictCode.NOT_FOUND
    assert (await verifier.introspect("wrong", client_address=HERE)).code is VerdictCode.RATE_LIMITED


async def test_a_denial_of_a_known_key_is_no_failed_attempt(store: MemoryKeyStore) -> None:
    verifier = a_verifier(store, per_minute=1)
    key = await stored(store, state=KeyState.DISABLED)
    for _ in range(3):
        assert (await verifier.verify(key.text, client_address=HERE)).code is VerdictCode.DISABLED


async def test_a_holder_is_let_through_where_the_key_was_good(store: MemoryKeyStore) -> None:
    verifier = a_verifier(store, per_minute=1)
    key = await stored(store)
    wrong = KeyText("live", key.key_id, generate("live", secrets.randbelow).secret).text
    await verifier.verify(key.text, client_address=HERE)
    for _ in range(3):
        assert (await verifier.verify(wrong, client_address=HERE)).code is VerdictCode.NOT_FOUND
    assert (await verifier.verify(key.text, client_address=HERE)).code is VerdictCode.VALID


async def test_what_is_no_address_is_refused_by_its_field_before_anything_is_done(store: MemoryKeyStore) -> None:
    uses = MemoryUses()
    verifier = a_verifier(store, uses, per_minute=1)
    key = await stored(store, max_uses=1)
    with pytest.raises(InvalidFieldError) as caught:
        await verifier.verify(key.text, client_address="somewhere")
    assert caught.value.field == "client_address"
    with pytest.raises(InvalidFieldError) as caught:
        await verifier.verify_all([Attempt(key.text), Attempt(key.text, client_address="1.2.3", at="requests[1].")])
    assert caught.value.field == "requests[1].client_address"
    assert (uses.calls, store.reads) == (0, 0)


# Verdicts that are given again at once.


class Quick:
    """A verifier that keeps verdicts, on a store whose records are all in memory."""

    def __init__(self, store: MemoryKeyStore, **more: Any) -> None:
        self.clock = FakeClock()
        self._store = store
        quick = QuickVerdicts(self._recall, size=10, digest_key=b"k" * DIGEST_KEY_BYTES)
        self.verifier = a_verifier(store, clock=self.clock, quick=quick, **more)

    def _recall(self, key_id: str) -> KeyRecord | None:
        return self._store._keys[key_id][1] if key_id in self._store._keys else None

    def found(self, text: str, use: Use = NO_USE, client_address: str = "") -> Verdict | None:
        found = self.verifier.verify_quickly(text, use.domain, use.workspace, use.action, use.channel, client_address)
        return found.verdict if found else None


async def test_a_good_key_is_verified_quickly_from_the_second_time_on(store: MemoryKeyStore) -> None:
    quick, key = Quick(store), await stored(store)
    assert quick.found(key.text) is None
    verdict = await quick.verifier.verify(key.text)
    assert quick.found(key.text) == verdict
    assert quick.found(key.text, Use(domain="d")) is None
    await store.update(key.key_id, lambda record: replace(record, state=KeyState.DISABLED))
    assert quick.found(key.text) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"max_uses": 9},
        {"verification_rate": ONE_A_SECOND},
        {"state": KeyState.DISABLED},
        {"allowed_domains": ("a",)},
        {"pepper_version": 2, "secret_hash": b""},
    ],
)
async def test_what_is_charged_or_denied_or_to_be_rehashed_never_is(
    store: MemoryKeyStore, fields: dict[str, Any]
) -> None:
    peppers = Peppers(1, {1: PEPPERS.versions[1], 2: b"q" * 32})
    quick, key = Quick(store, peppers=peppers), generate("live", secrets.randbelow)
    hashed = {"secret_hash": PEPPERS.hash(key.secret), **fields}
    if "pepper_version" in fields:
        hashed["secret_hash"] = Peppers(2, peppers.versions).hash(key.secret)
    await store.create(a_record(key.key_id, **hashed))
    await quick.verifier.verify(key.text, Use(domain="b"))
    assert quick.found(key.text, Use(domain="b")) is None


async def test_only_where_the_key_was_good_lately(store: MemoryKeyStore) -> None:
    quick, key = Quick(store), await stored(store)
    await quick.verifier.verify(key.text)
    assert quick.found(key.text, client_address=HERE) is None
    await quick.verifier.verify(key.text, client_address=HERE)
    assert quick.found(key.text, client_address=HERE) is not None
    for elsewhere in (THERE, "nowhere"):
        assert quick.found(key.text, client_address=elsewhere) is None
    quick.clock.monotonic_s += KNOWN_FOR_US / 2_000_000
    assert quick.found(key.text, client_address=HERE) is None


async def test_nothing_is_quick_without_a_table(store: MemoryKeyStore, verifier: Verifier) -> None:
    key = await stored(store)
    await verifier.verify(key.text)
    assert verifier.verify_quickly(key.text, "", "", "", "", "") is None


# Peppers.


async def test_a_key_under_an_old_pepper_is_told_with_its_hash_under_the_new_one(store: MemoryKeyStore) -> None:
    peppers = Peppers(2, {1: PEPPERS.versions[1], 2: b"q" * 32})
    told: list[tuple[KeyRecord, bytes]] = []
    verifier = a_verifier(store, peppers=peppers, hooks=Hooks(outdated=lambda *given: told.append(given)))
    key, dead = await stored(store), await stored(store, state=KeyState.REVOKED)
    wrong = KeyText("live", key.key_id, generate("live", secrets.randbelow).secret).text
    await verifier.verify(wrong)
    await verifier.introspect(key.text)
    assert told == []
    # Those that are no longer good as well: as long as they are under the old pepper, it cannot be removed.
    for each in (key, dead):
        await verifier.verify(each.text)
    assert [(record.key_id, new) for record, new in told] == [
        (each.key_id, peppers.hash(each.secret)) for each in (key, dead)
    ]
    told.clear()
    assert await store.rehash(a_record(key.key_id, secret_hash=PEPPERS.hash(key.secret)), peppers.hash(key.secret), 2)
    assert (await verifier.verify(key.text)).code is VerdictCode.VALID
    assert told == []


def test_no_hook_is_needed() -> None:
    NO_HOOKS.throttled()
    NO_HOOKS.outdated(a_record(), b"")


def test_the_text_of_a_key_never_shows() -> None:
    assert "tw_live" not in repr(Attempt("tw_live_secret"))
