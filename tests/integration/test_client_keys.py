"""The life of a key by the client's `KeyAdmin`, and what `KeyVerifier` says of it, against a real auth service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.test_client_verifier import until, verifying
from tests.support.key_admin import ACTS_WITHIN_S
from tests.support.protocol_client import new_name
from tests.support.services import Gateway
from tests.support.waiting import eventually
from tidewire_client import (
    AuditAction,
    Channels,
    CreatedKey,
    EtagMismatch,
    FailedPrecondition,
    InvalidRequest,
    KeyAdmin,
    KeyLimits,
    KeyNotActive,
    KeyState,
    KeyVerifier,
    LimitExceeded,
    NotFound,
    VerdictCode,
    VerificationRate,
)

pytestmark = pytest.mark.integration


@pytest.fixture
async def admin(shared_gateway: Gateway) -> AsyncIterator[KeyAdmin]:
    async with KeyAdmin(shared_gateway.auth.address, token=shared_gateway.service_token) as made:
        yield made


@pytest.fixture
async def key(shared_gateway: Gateway, admin: KeyAdmin) -> CreatedKey:
    """A key of an owner of its own."""
    made = await admin.create(new_name("owner"), ["join:lobby"], name="checkout backend")
    shared_gateway.canaries.add(made.api_key)
    return made


async def acts(verifier: KeyVerifier, api_key: str, code: VerdictCode, **question: str) -> None:
    """Fail unless a verdict changes at once."""

    async def holds() -> bool:
        return (await verifier.verify(api_key, **question)).code is code

    await eventually(holds, ACTS_WITHIN_S, f"the verdict is {code}")


async def test_a_key_is_made_as_it_is_wanted(shared_gateway: Gateway, admin: KeyAdmin) -> None:
    wanted = {
        "name": "n",
        "limits": KeyLimits(max_channels=3),
        "expire_time": datetime(2999, 1, 1, tzinfo=UTC),
        "environment": "test",
        "verification_rate": VerificationRate(5, timedelta(minutes=1)),
        "max_uses": 9,
    }
    made = await admin.create("ann", ["join:lobby"], domains=["d"], workspaces=["w"], **wanted)  # type: ignore[arg-type]
    shared_gateway.canaries.add(made.api_key)
    found = await admin.get(made.key.key_id)
    assert found == made.key
    assert {name: getattr(found, name) for name in wanted} == wanted
    assert (found.allowed_domains, found.allowed_workspaces, found.use_count) == (("d",), ("w",), 0)
    assert (found.state, bool(found.etag), found.replaced_by) == (KeyState.ACTIVE, True, "")


async def test_fields_are_changed_and_the_others_are_not(admin: KeyAdmin, key: CreatedKey) -> None:
    key_id = key.key.key_id
    await admin.update(key_id, limits=KeyLimits(max_channels=3, frames_burst=7))
    changed = await admin.update(
        key_id, name="renamed", permissions=["join:*"], limits={"max_channels": 5}, max_uses=3, domains=["d"]
    )
    assert (changed.name, changed.permissions, changed.max_uses) == ("renamed", ("join:*",), 3)
    assert (changed.limits, changed.allowed_domains) == (KeyLimits(max_channels=5, frames_burst=7), ("d",))
    assert (changed.owner, changed.environment) == (key.key.owner, "live")
    emptied = await admin.update(key_id, name="", domains=(), max_uses=0, limits=KeyLimits())
    assert (emptied.name, emptied.allowed_domains, emptied.max_uses, emptied.limits) == ("", (), 0, KeyLimits())
    assert await admin.get(key_id) == emptied


async def test_a_change_does_not_overwrite_another(admin: KeyAdmin, key: CreatedKey) -> None:
    key_id, etag = key.key.key_id, key.key.etag
    first = await admin.update(key_id, etag=etag, name="first")
    with pytest.raises(EtagMismatch) as mismatch:
        await admin.update(key_id, etag=etag, name="second")
    assert mismatch.value.safe_to_repeat
    assert (await admin.get(key_id)).name == "first"
    assert (await admin.update(key_id, etag=first.etag, name="second")).name == "second"


async def test_a_wrong_change_names_the_field(admin: KeyAdmin, key: CreatedKey) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await admin.update(key.key.key_id, owner="")
    assert "owner" in refused.value.field
    assert (await admin.get(key.key.key_id)).owner == key.key.owner


async def test_a_narrowed_key_acts_at_once(shared_gateway: Gateway, admin: KeyAdmin, key: CreatedKey) -> None:
    async with verifying(shared_gateway) as verifier:
        asked = {"action": "join", "channel": "lobby"}
        assert (await verifier.verify(key.api_key, **asked)).allowed
        await admin.update(key.key.key_id, permissions=["join:other"])
        await acts(verifier, key.api_key, VerdictCode.INSUFFICIENT_PERMISSIONS, **asked)


async def test_a_key_is_rotated_without_a_gap(shared_gateway: Gateway, admin: KeyAdmin, key: CreatedKey) -> None:
    rotated = await admin.rotate(key.key.key_id, grace=timedelta(days=1))
    shared_gateway.canaries.add(rotated.api_key)
    assert (rotated.key.replaces, rotated.replaced.replaced_by) == (key.key.key_id, rotated.key.key_id)
    assert (rotated.key.owner, rotated.key.name, rotated.key.permissions) == (
        key.key.owner,
        key.key.name,
        key.key.permissions,
    )
    assert rotated.key.expire_time is None
    assert rotated.replaced.expire_time is not None
    async with verifying(shared_gateway) as verifier:
        for api_key in (key.api_key, rotated.api_key):
            assert (await verifier.verify(api_key)).allowed
        at_once = await admin.rotate(rotated.key.key_id, grace=timedelta())
        shared_gateway.canaries.add(at_once.api_key)
        await acts(verifier, rotated.api_key, VerdictCode.EXPIRED)
        assert (await verifier.verify(at_once.api_key)).allowed


async def test_only_a_good_key_can_be_rotated(admin: KeyAdmin, key: CreatedKey) -> None:
    await admin.disable(key.key.key_id)
    with pytest.raises(KeyNotActive):
        await admin.rotate(key.key.key_id, grace=timedelta())
    await admin.revoke(key.key.key_id)
    with pytest.raises(FailedPrecondition) as refused:
        await admin.rotate(key.key.key_id, grace=timedelta())
    assert refused.value.reason == "KEY_REVOKED"


async def test_a_removed_key_is_as_one_that_never_was(
    shared_gateway: Gateway, admin: KeyAdmin, key: CreatedKey
) -> None:
    async with verifying(shared_gateway) as verifier:
        assert (await verifier.verify(key.api_key)).allowed
        await admin.delete(key.key.key_id, reason="over")
        await acts(verifier, key.api_key, VerdictCode.NOT_FOUND)
    for call in (admin.get(key.key.key_id), admin.delete(key.key.key_id), admin.update(key.key.key_id, name="n")):
        with pytest.raises(NotFound):
            await call


async def test_keys_are_found_by_what_they_are(admin: KeyAdmin, key: CreatedKey, shared_gateway: Gateway) -> None:
    owner = key.key.owner
    soon = datetime.now(UTC) + timedelta(hours=1)
    other = await admin.create(owner, ["join:*"], environment="test", name="Other", expire_time=soon)
    shared_gateway.canaries.add(other.api_key)
    await admin.disable(other.key.key_id)
    found = {
        "all": [one.key_id async for one in admin.list_all(owner=owner)],
        "active": [one.key_id async for one in admin.list_all(owner=owner, states=[KeyState.ACTIVE])],
        "test": [one.key_id async for one in admin.list_all(owner=owner, environment="test")],
        "name": [one.key_id async for one in admin.list_all(owner=owner, name_contains="OTHER")],
        "soon": [one.key_id async for one in admin.list_all(owner=owner, expires_before=soon + timedelta(hours=1))],
    }
    first, second = key.key.key_id, other.key.key_id
    assert found == {"all": [first, second], "active": [first], "test": [second], "name": [second], "soon": [second]}


async def test_the_audit_log_tells_what_was_done(admin: KeyAdmin, key: CreatedKey, shared_gateway: Gateway) -> None:
    key_id = key.key.key_id
    await admin.update(key_id, name="renamed")
    await admin.disable(key_id, reason="for now")
    await admin.enable(key_id)
    await admin.delete(key_id, reason="over")
    entries = [entry async for entry in admin.audit(key_id=key_id)]
    assert [entry.action for entry in entries] == [
        AuditAction.DELETED,
        AuditAction.ENABLED,
        AuditAction.DISABLED,
        AuditAction.UPDATED,
        AuditAction.CREATED,
    ]
    deleted, _, disabled, updated, created = entries
    assert {entry.actor for entry in entries} == {"service-token"}
    assert (deleted.reason, deleted.after, disabled.reason) == ("over", None, "for now")
    assert (created.before, updated.before and updated.before.name, updated.after and updated.after.name) == (
        None,
        "checkout backend",
        "renamed",
    )
    assert [entry.revision for entry in entries] == sorted((entry.revision for entry in entries), reverse=True)
    only = [entry.action async for entry in admin.audit(key_id=key_id, actions=[AuditAction.UPDATED])]
    assert only == [AuditAction.UPDATED]
    assert [entry async for entry in admin.audit(key_id=key_id, actor="system")] == []
    later = datetime.now(UTC) + timedelta(hours=1)
    assert [entry async for entry in admin.audit(key_id=key_id, start_time=later)] == []
    page = await admin.audit_page(key_id=key_id, page_size=2)
    assert len(page.entries) <= 2
    assert page.next_page_token
    for secret in shared_gateway.canaries:
        assert secret not in repr(entries)


async def test_each_use_of_a_counted_key_is_charged_however_many_ask_at_once(
    shared_gateway: Gateway, admin: KeyAdmin
) -> None:
    made = await admin.create("tests", ["join:lobby"], max_uses=30)
    shared_gateway.canaries.add(made.api_key)
    async with verifying(shared_gateway) as one, verifying(shared_gateway) as two:
        looks = [await one.introspect(made.api_key) for _ in range(3)]
        assert {look.remaining_uses for look in looks} == {29}
        verdicts = await asyncio.gather(*((one, two)[n % 2].verify(made.api_key) for n in range(80)))
        left = sorted(verdict.remaining_uses or 0 for verdict in verdicts if verdict.allowed)
        assert [verdict.code for verdict in verdicts].count(VerdictCode.USAGE_EXCEEDED) == 50
        assert left == list(range(30))
        assert (await admin.get(made.key.key_id)).use_count == 30
        await admin.update(made.key.key_id, max_uses=31)

        async def good_again() -> bool:
            return (await one.verify(made.api_key)).allowed

        await eventually(good_again, ACTS_WITHIN_S, "the key is good again")


async def test_a_key_that_is_used_too_often_says_when_to_come_again(shared_gateway: Gateway, admin: KeyAdmin) -> None:
    rate = VerificationRate(2, timedelta(days=1))
    made = await admin.create("tests", ["join:lobby"], verification_rate=rate)
    shared_gateway.canaries.add(made.api_key)
    async with verifying(shared_gateway) as verifier:
        verdicts = [await verifier.verify(made.api_key) for _ in range(3)]
        assert [verdict.code for verdict in verdicts[:2]] == [VerdictCode.VALID] * 2
        assert verdicts[2].code is VerdictCode.RATE_LIMITED
        assert 0 < verdicts[2].retry_after_s <= rate.period.total_seconds()
        await admin.update(made.key.key_id, verification_rate=None)
        await acts(verifier, made.api_key, VerdictCode.VALID)
        await verifier.verify(made.api_key)
        hits = verifier.stats.hits
        await verifier.verify(made.api_key)
        assert verifier.stats.hits == hits + 1


async def test_a_back_end_whose_key_is_used_up_is_told_so(shared_gateway: Gateway, admin: KeyAdmin) -> None:
    made = await admin.create("tests", ["*:*"], max_uses=1)
    shared_gateway.canaries.add(made.api_key)
    place = {"client_id": "backend", "domain": "tests", "workspace": new_name("w")}
    async with Channels(shared_gateway.session.address, token=made.api_key, **place) as channels:
        await channels.publish("lobby", {"content": 1})
        with pytest.raises(LimitExceeded):
            await channels.publish("lobby", {"content": 2})


async def test_a_key_that_may_only_read_cannot_write(shared_gateway: Gateway, admin: KeyAdmin) -> None:
    reader = await admin.create("tests", ["admin:keys.read"])
    shared_gateway.canaries.add(reader.api_key)
    async with KeyAdmin(shared_gateway.auth.address, token=reader.api_key) as reading:
        assert (await reading.get(reader.key.key_id)).key_id == reader.key.key_id
        with pytest.raises(Exception, match=r"admin:keys\.write"):
            await reading.update(reader.key.key_id, name="n")
        with pytest.raises(Exception, match=r"admin:audit\.read"):
            await reading.audit_page()


async def test_a_verifier_with_a_key_for_verifying_alone(shared_gateway: Gateway, admin: KeyAdmin) -> None:
    permissions = ["admin:verify", "admin:check", "admin:watch"]
    caller = await admin.create("tests", permissions)
    shared_gateway.canaries.add(caller.api_key)
    verifier = KeyVerifier(shared_gateway.auth.address, service_token=caller.api_key)
    await verifier.start()
    try:
        await until(lambda: verifier.fresh, what="the watch is fresh")
        assert (await verifier.verify(caller.api_key, action="admin", channel="verify")).allowed
    finally:
        await verifier.close()
