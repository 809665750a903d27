from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from tidewire.auth.v1 import admin_pb2, keys_pb2

from tests.unit.tidewire_client.peers import Fail, ScriptedService, serving
from tidewire_client.audit import AuditAction
from tidewire_client.errors import EtagMismatch, FailedPrecondition, InvalidRequest, KeyNotActive, NotFound
from tidewire_client.key_admin import KeyAdmin
from tidewire_client.keys import KeyState, VerificationRate
from tidewire_client.verdict import KeyLimits

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
API_KEY = "tw_live_4fK2_secret"


def key(key_id: str = "4fK2", state: int = keys_pb2.KEY_STATE_ACTIVE, expires: datetime | None = None) -> keys_pb2.Key:
    made = keys_pb2.Key(
        key_id=key_id, owner="ann", permissions=["join:*"], state=state, limits=keys_pb2.KeyLimits(max_channels=3)
    )
    made.create_time.FromDatetime(NOW)
    made.update_time.FromDatetime(NOW)
    if expires is not None:
        made.expire_time.FromDatetime(expires)
    return made


@asynccontextmanager
async def admin_of(service: ScriptedService) -> AsyncIterator[KeyAdmin]:
    async with serving(service) as target, KeyAdmin(target, token="t") as admin:
        yield admin


async def test_a_made_key_is_shown_once_and_not_in_its_repr() -> None:
    service = ScriptedService(admin_pb2.CreateKeyResponse(key=key(), api_key=API_KEY))
    expires = NOW.astimezone() + timedelta(days=1)
    async with admin_of(service) as admin:
        made = await admin.create(
            "ann",
            ["join:*"],
            name="n",
            domains=["d"],
            workspaces=["w"],
            limits=KeyLimits(max_channels=3),
            expire_time=expires,
        )
    assert made.api_key == API_KEY
    assert "secret" not in repr(made)
    assert (made.key.key_id, made.key.limits.max_channels, made.key.create_time) == ("4fK2", 3, NOW)
    request = service.requests[0]
    assert (request.owner, request.name, list(request.permissions), request.environment) == (
        "ann",
        "n",
        ["join:*"],
        "live",
    )
    assert (list(request.allowed_domains), list(request.allowed_workspaces)) == (["d"], ["w"])
    assert request.limits.max_channels == 3
    assert request.expire_time.ToDatetime(tzinfo=UTC) == NOW + timedelta(days=1)


async def test_a_moment_without_time_zone_is_refused() -> None:
    service = ScriptedService(admin_pb2.CreateKeyResponse())
    async with admin_of(service) as admin:
        with pytest.raises(ValueError, match="time zone"):
            await admin.create("ann", ["join:*"], expire_time=datetime(2027, 1, 1))
    assert service.requests == []


async def test_making_a_key_is_never_repeated_on_a_guess() -> None:
    service = ScriptedService(Fail(grpc.StatusCode.UNAVAILABLE), admin_pb2.CreateKeyResponse(key=key()))
    async with admin_of(service) as admin:
        with pytest.raises(Exception, match="auth service") as raised:
            await admin.create("ann", ["join:*"])
    assert len(service.requests) == 1
    assert not raised.value.safe_to_repeat  # type: ignore[attr-defined]


async def test_a_key_is_read() -> None:
    service = ScriptedService(
        admin_pb2.GetKeyResponse(key=key(expires=NOW)), Fail(grpc.StatusCode.NOT_FOUND, "KEY_NOT_FOUND")
    )
    async with admin_of(service) as admin:
        found = await admin.get("4fK2")
        with pytest.raises(NotFound):
            await admin.get("none")
    assert found.expire_time == NOW
    assert found.permissions == ("join:*",)


@pytest.mark.parametrize(
    ("state", "expires", "usable"),
    [
        (keys_pb2.KEY_STATE_ACTIVE, None, True),
        (keys_pb2.KEY_STATE_ACTIVE, NOW + timedelta(seconds=1), True),
        (keys_pb2.KEY_STATE_ACTIVE, NOW, False),
        (keys_pb2.KEY_STATE_DISABLED, None, False),
        (keys_pb2.KEY_STATE_REVOKED, None, False),
        (keys_pb2.KEY_STATE_UNSPECIFIED, None, False),
    ],
)
async def test_a_key_is_usable_while_active_and_before_its_expiry(
    state: int, expires: datetime | None, usable: bool
) -> None:
    async with admin_of(ScriptedService(admin_pb2.GetKeyResponse(key=key(state=state, expires=expires)))) as admin:
        assert (await admin.get("4fK2")).usable(NOW) is usable


async def test_a_state_that_this_client_does_not_know_yet_is_unknown() -> None:
    async with admin_of(ScriptedService(admin_pb2.GetKeyResponse(key=key(state=99)))) as admin:
        assert (await admin.get("4fK2")).state is KeyState.UNKNOWN


async def test_all_keys_are_listed_page_by_page() -> None:
    service = ScriptedService(
        admin_pb2.ListKeysResponse(keys=[key("a"), key("b")], next_page_token="2"),
        admin_pb2.ListKeysResponse(keys=[key("c")]),
    )
    async with admin_of(service) as admin:
        assert [found.key_id async for found in admin.list_all(owner="ann")] == ["a", "b", "c"]
    assert [(r.page_token, r.owner) for r in service.requests] == [("", "ann"), ("2", "ann")]


async def test_state_changes_are_repeated_while_the_service_is_away() -> None:
    away = Fail(grpc.StatusCode.UNAVAILABLE)
    service = ScriptedService(
        away,
        admin_pb2.RevokeKeyResponse(key=key(state=keys_pb2.KEY_STATE_REVOKED)),
        away,
        admin_pb2.DisableKeyResponse(key=key(state=keys_pb2.KEY_STATE_DISABLED)),
        away,
        admin_pb2.EnableKeyResponse(key=key()),
    )
    async with admin_of(service) as admin:
        assert (await admin.revoke("4fK2", reason="r")).state is KeyState.REVOKED
        assert (await admin.disable("4fK2", reason="d")).state is KeyState.DISABLED
        assert (await admin.enable("4fK2")).state is KeyState.ACTIVE
    assert [type(r).__name__ for r in service.requests[::2]] == [
        "RevokeKeyRequest",
        "DisableKeyRequest",
        "EnableKeyRequest",
    ]
    assert [service.requests[1].reason, service.requests[3].reason] == ["r", "d"]


async def test_refusals_tell_them_apart() -> None:
    service = ScriptedService(
        Fail(grpc.StatusCode.FAILED_PRECONDITION, "KEY_REVOKED"),
        Fail(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", {"field": "reason"}),
    )
    async with admin_of(service) as admin:
        with pytest.raises(FailedPrecondition):
            await admin.enable("4fK2")
        with pytest.raises(InvalidRequest):
            await admin.revoke("4fK2", reason="\n")


async def test_a_key_tells_its_bounds_and_its_line() -> None:
    made = key()
    made.MergeFrom(keys_pb2.Key(etag="e1", max_uses=9, use_count=4, replaced_by="new", replaces="old"))
    made.verification_rate.verifications = 5
    made.verification_rate.period.FromTimedelta(timedelta(minutes=1))
    async with admin_of(ScriptedService(admin_pb2.GetKeyResponse(key=made))) as admin:
        found = await admin.get("4fK2")
    assert found.verification_rate == VerificationRate(5, timedelta(minutes=1))
    assert (found.etag, found.max_uses, found.use_count) == ("e1", 9, 4)
    assert (found.replaced_by, found.replaces) == ("new", "old")


async def test_a_key_is_made_with_bounds() -> None:
    service = ScriptedService(admin_pb2.CreateKeyResponse(key=key(), api_key=API_KEY))
    async with admin_of(service) as admin:
        rate = VerificationRate(5, timedelta(milliseconds=1500))
        await admin.create("ann", ["join:*"], verification_rate=rate, max_uses=7)
    request = service.requests[0]
    assert (request.max_uses, request.verification_rate.verifications) == (7, 5)
    assert request.verification_rate.period.ToMilliseconds() == 1500


async def test_only_the_fields_that_are_given_are_changed() -> None:
    service = ScriptedService(admin_pb2.UpdateKeyResponse(key=key()))
    async with admin_of(service) as admin:
        await admin.update("4fK2", name="n", domains=["d"], workspaces=["w"], expire_time=None, max_uses=0)
        await admin.update("4fK2", limits=KeyLimits(max_channels=3), verification_rate=None, permissions=["join:*"])
        await admin.update("4fK2", limits={"max_channels": 3}, owner="bob", etag="e1")
    masks = [list(request.update_mask.paths) for request in service.requests]
    assert masks == [
        ["name", "allowed_domains", "allowed_workspaces", "expire_time", "max_uses"],
        ["limits", "verification_rate", "permissions"],
        ["limits.max_channels", "owner"],
    ]
    first, second, third = (request.key for request in service.requests)
    assert first == keys_pb2.Key(key_id="4fK2", name="n", allowed_domains=["d"], allowed_workspaces=["w"])
    assert second == keys_pb2.Key(key_id="4fK2", permissions=["join:*"], limits=keys_pb2.KeyLimits(max_channels=3))
    assert third == keys_pb2.Key(key_id="4fK2", etag="e1", owner="bob", limits=keys_pb2.KeyLimits(max_channels=3))


async def test_what_cannot_be_asked_for_is_not_sent() -> None:
    service = ScriptedService(admin_pb2.UpdateKeyResponse())
    async with admin_of(service) as admin:
        with pytest.raises(ValueError, match="a field to change"):
            await admin.update("4fK2")
        with pytest.raises(TypeError, match="'state' is none of name owner"):
            await admin.update("4fK2", state="ACTIVE")  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="'ownr' is none of owner"):
            await admin.list_page(ownr="ann")  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="'kid' is none of key_id"):
            await admin.audit_page(kid="4fK2")  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="state"):
            await admin.list_page(states=[KeyState.UNKNOWN])
        with pytest.raises(ValueError, match="action"):
            await admin.audit_page(actions=[AuditAction.UNKNOWN])
        with pytest.raises(ValueError, match="start_time needs a time zone"):
            await admin.audit_page(start_time=datetime(2027, 1, 1))
    assert service.requests == []


async def test_a_change_that_would_overwrite_another_is_told_and_not_repeated() -> None:
    away = Fail(grpc.StatusCode.UNAVAILABLE)
    service = ScriptedService(Fail(grpc.StatusCode.ABORTED, "ETAG_MISMATCH"), away, away)
    async with admin_of(service) as admin:
        with pytest.raises(EtagMismatch) as mismatch:
            await admin.update("4fK2", etag="e1", name="n")
        with pytest.raises(Exception, match="auth service") as lost:
            await admin.update("4fK2", etag="e1", name="n")
    assert mismatch.value.safe_to_repeat
    assert not lost.value.safe_to_repeat  # type: ignore[attr-defined]
    assert len(service.requests) == 2


async def test_a_change_without_an_etag_is_repeated_while_the_service_is_away() -> None:
    service = ScriptedService(Fail(grpc.StatusCode.UNAVAILABLE), admin_pb2.UpdateKeyResponse(key=key()))
    async with admin_of(service) as admin:
        assert (await admin.update("4fK2", name="n")).key_id == "4fK2"


async def test_a_key_is_rotated() -> None:
    answer = admin_pb2.RotateKeyResponse(key=key("new"), api_key=API_KEY, replaced=key("4fK2", expires=NOW))
    service = ScriptedService(answer, Fail(grpc.StatusCode.FAILED_PRECONDITION, "KEY_NOT_ACTIVE"))
    async with admin_of(service) as admin:
        rotated = await admin.rotate("4fK2", grace=timedelta(hours=1), expire_time=NOW)
        with pytest.raises(KeyNotActive):
            await admin.rotate("4fK2", grace=timedelta())
    assert (rotated.key.key_id, rotated.api_key, rotated.replaced.expire_time) == ("new", API_KEY, NOW)
    assert "secret" not in repr(rotated)
    first, second = service.requests
    assert (first.key_id, first.grace.ToTimedelta(), first.expire_time.ToDatetime(tzinfo=UTC)) == (
        "4fK2",
        timedelta(hours=1),
        NOW,
    )
    assert second.HasField("grace")
    assert not second.HasField("expire_time")


async def test_a_key_is_removed_by_one_call() -> None:
    service = ScriptedService(admin_pb2.DeleteKeyResponse(), Fail(grpc.StatusCode.UNAVAILABLE))
    async with admin_of(service) as admin:
        await admin.delete("4fK2", reason="r")
        with pytest.raises(Exception, match="auth service") as raised:
            await admin.delete("4fK2")
    assert not raised.value.safe_to_repeat  # type: ignore[attr-defined]
    assert [(r.key_id, r.reason) for r in service.requests] == [("4fK2", "r"), ("4fK2", "")]


async def test_keys_are_filtered() -> None:
    service = ScriptedService(admin_pb2.ListKeysResponse())
    async with admin_of(service) as admin:
        await admin.list_page(
            owner="ann",
            states=[KeyState.ACTIVE, KeyState.REVOKED],
            environment="test",
            name_contains="pay",
            expires_before=NOW,
            page_size=7,
        )
    expected = admin_pb2.ListKeysRequest(
        owner="ann",
        states=[keys_pb2.KEY_STATE_ACTIVE, keys_pb2.KEY_STATE_REVOKED],
        environment="test",
        name_contains="pay",
        page_size=7,
    )
    expected.expires_before.FromDatetime(NOW)
    assert service.requests == [expected]


async def test_the_audit_log_is_read_page_by_page() -> None:
    made = admin_pb2.AuditEntry(
        revision=7, actor="service-token", action=admin_pb2.AUDIT_ACTION_CREATED, key_id="4fK2", after=key()
    )
    made.time.FromDatetime(NOW)
    gone = admin_pb2.AuditEntry(revision=9, action=admin_pb2.AUDIT_ACTION_DELETED, reason="r", before=key())
    new = admin_pb2.AuditEntry(action=99)  # type: ignore[arg-type]
    service = ScriptedService(
        admin_pb2.ListAuditEntriesResponse(entries=[new, gone], next_page_token="2"),
        admin_pb2.ListAuditEntriesResponse(entries=[made]),
    )
    async with admin_of(service) as admin:
        entries = admin.audit(
            key_id="4fK2", actor="service-token", start_time=NOW, end_time=NOW, actions=[AuditAction.DELETED]
        )
        found = [entry async for entry in entries]
    assert [entry.action for entry in found] == [AuditAction.UNKNOWN, AuditAction.DELETED, AuditAction.CREATED]
    assert (found[1].before is not None, found[1].after, found[1].reason) == (True, None, "r")
    assert (found[2].before, found[2].revision, found[2].time, found[2].actor) == (None, 7, NOW, "service-token")
    first, second = service.requests
    assert (first.key_id, first.actor, list(first.actions)) == (
        "4fK2",
        "service-token",
        [admin_pb2.AUDIT_ACTION_DELETED],
    )
    assert first.start_time == first.end_time
    assert (first.page_token, second.page_token) == ("", "2")


async def test_without_a_token_no_credential_is_sent() -> None:
    """The client certificate is the credential then."""
    service = ScriptedService(admin_pb2.GetKeyResponse(key=key()))
    async with serving(service) as target, KeyAdmin(target) as admin:
        await admin.get("4fK2")
    assert "authorization" not in service.metadata[0]
