from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from tidewire.auth.v1 import admin_pb2, keys_pb2

from tests.unit.tidewire_client.peers import Fail, ScriptedService, serving
from tidewire_client.errors import FailedPrecondition, InvalidRequest, NotFound
from tidewire_client.key_admin import KeyAdmin, KeyState
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
