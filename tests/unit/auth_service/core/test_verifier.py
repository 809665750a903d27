"""From the text a holder sent to a verdict."""

import secrets

import pytest

from auth_service.core.errors import CallerNotAllowedError, CallerUnknownError, StoreUnavailableError
from auth_service.core.key_format import KeyText, generate
from auth_service.core.keys import KeyState
from auth_service.core.permissions import PermissionSet
from auth_service.core.verification import Use, VerdictCode
from auth_service.core.verifier import Verifier
from tests.unit.auth_service.fakes import NOW_MS, PEPPERS, FakeClock, MemoryKeyStore, a_record

REVISION = 7


@pytest.fixture
def store() -> MemoryKeyStore:
    return MemoryKeyStore()


@pytest.fixture
def verifier(store: MemoryKeyStore) -> Verifier:
    named = {"development": "dev_development"}
    return Verifier(store, PEPPERS, FakeClock(), ttl_ms=1000, seen_revision=lambda: REVISION, named_keys=named)


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
    assert await verifier.admit(key.text, "admin") == key.key_id
    assert await verifier.admit_again(key.key_id, "admin") == key.key_id


@pytest.mark.parametrize("fields", [{"state": KeyState.REVOKED}, {"state": KeyState.DISABLED}, {"expire_ms": NOW_MS}])
async def test_a_caller_with_a_dead_key_is_unknown(
    store: MemoryKeyStore, verifier: Verifier, fields: dict[str, object]
) -> None:
    key = await stored(store, **fields)
    with pytest.raises(CallerUnknownError):
        await verifier.admit(key.text, "admin")
    with pytest.raises(CallerUnknownError):
        await verifier.admit_again(key.key_id, "admin")


async def test_a_caller_with_no_key_of_ours_is_unknown(verifier: Verifier) -> None:
    with pytest.raises(CallerUnknownError):
        await verifier.admit("anything", "admin")


@pytest.mark.parametrize(
    "fields",
    [
        {"permissions": PermissionSet.of(["join:*", "admin:chat-*"])},
        {"allowed_domains": ("a",)},
        {"allowed_workspaces": ("a",)},
    ],
)
async def test_a_caller_whose_key_is_no_admin_of_everything_may_not(
    store: MemoryKeyStore, verifier: Verifier, fields: dict[str, object]
) -> None:
    key = await stored(store, **fields)
    with pytest.raises(CallerNotAllowedError):
        await verifier.admit(key.text, "admin")
