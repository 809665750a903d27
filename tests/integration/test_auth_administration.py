"""The life of a key over gRPC, on a file and on two services that share a Redis."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from tidewire.auth.v1 import admin_pb2, keys_pb2

from service_runtime.grpc_errors import error_info
from tests.support.administration import (
    AT_ONCE,
    STORES,
    action_name,
    audit_of,
    in_s,
    rotate,
    services_on,
    two_clients,
    update,
)
from tests.support.auth_client import AuthClient, assert_verdict, code_name, refused
from tests.support.processes import ServiceProcess
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

DAY = Duration(seconds=86_400)


@pytest.fixture(scope="module", params=STORES)
def services(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[ServiceProcess]]:
    """All services on one store."""
    with services_on(request.param, tmp_path_factory.mktemp("auth")) as made:
        yield made


@pytest.fixture
async def clients(services: list[ServiceProcess]) -> AsyncIterator[list[AuthClient]]:
    """Two clients, at two services where there are two."""
    async with two_clients(services) as made:
        yield made


@pytest.fixture
def client(clients: list[AuthClient]) -> AuthClient:
    return clients[0]


# Updates.


async def test_an_update_changes_what_the_mask_names(clients: list[AuthClient]) -> None:
    key, text = await clients[0].create(["join:*"], name="old", max_uses=7)
    rate = keys_pb2.VerificationRate(verifications=5, period=DAY)
    limits = keys_pb2.KeyLimits(max_channels=3, frames_per_second=9)
    after = await update(
        clients[1],
        key.key_id,
        *("name", "permissions", "limits.max_channels", "verification_rate", "max_uses", "allowed_domains"),
        name="new",
        owner="not named",
        permissions=["join:chat-*"],
        limits=limits,
        verification_rate=rate,
        allowed_domains=["d"],
    )
    assert (after.name, after.owner, list(after.permissions)) == ("new", "tests", ["join:chat-*"])
    assert (after.limits, after.verification_rate) == (keys_pb2.KeyLimits(max_channels=3), rate)
    assert (after.max_uses, list(after.allowed_domains)) == (0, ["d"])
    assert after.revision > key.revision
    assert after.etag != key.etag
    assert await clients[0].get(key.key_id) == after

    async def narrowed() -> bool:
        verdict = await clients[0].check(key.key_id, "join", "lobby", domain="d")
        return code_name(verdict.code) == "INSUFFICIENT_PERMISSIONS"

    await eventually(narrowed)
    assert_verdict(await clients[0].verify(text, domain="d", action="join", channel="chat-1"), "VALID")


async def test_of_two_updates_with_one_etag_one_is_made(clients: list[AuthClient]) -> None:
    key, _ = await clients[0].create(name="")
    tries = [
        update(clients[number % 2], key.key_id, "name", name=f"n{number}", etag=key.etag) for number in range(AT_ONCE)
    ]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    made = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(made) == 1
    refusals = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert {(fault.code(), error_info(fault).reason) for fault in refusals} == {  # type: ignore[union-attr]
        (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    }
    assert (await clients[1].get(key.key_id)).name == made[0].name


@pytest.mark.parametrize(
    ("paths", "values", "field"),
    [
        ((), {}, "update_mask"),
        (("state",), {}, "update_mask"),
        (("secret",), {}, "update_mask"),
        (("permissions",), {}, "permissions"),
        (("owner",), {}, "owner"),
        (("max_uses",), {"max_uses": -1}, "max_uses"),
        (("expire_time",), {"expire_time": Timestamp(seconds=1)}, "expire_time"),
        (("expire_time",), {"expire_time": Timestamp(seconds=2**33, nanos=-1)}, "expire_time"),
        (
            ("verification_rate",),
            {"verification_rate": keys_pb2.VerificationRate(period=DAY)},
            "verification_rate.verifications",
        ),
        (
            ("verification_rate",),
            {"verification_rate": keys_pb2.VerificationRate(verifications=1, period=Duration(seconds=1, nanos=5))},
            "verification_rate.period",
        ),
    ],
)
async def test_an_update_out_of_bounds_names_the_field(
    client: AuthClient, paths: tuple[str, ...], values: dict[str, Any], field: str
) -> None:
    key, _ = await client.create()
    request = admin_pb2.UpdateKeyRequest(
        key=keys_pb2.Key(key_id=key.key_id, **values), update_mask=FieldMask(paths=paths)
    )
    with refused("INVALID_FIELD", field=field):
        await client.call("UpdateKey", request)
    assert await client.get(key.key_id) == key


async def test_an_expiry_is_valid_strictly_before_and_can_be_extended(clients: list[AuthClient]) -> None:
    key, text = await clients[0].create(expires_in_s=0.5)
    async with clients[1].watch(key.revision) as watch:
        assert await watch.changes(1) == [(key.key_id, "EXPIRED")]
        assert time.time_ns() // 10**6 >= key.expire_time.ToMilliseconds()
        assert_verdict(await clients[0].verify(text), "EXPIRED", key_id=key.key_id)
        await update(clients[0], key.key_id, "expire_time")
        assert await watch.changes(1) == [(key.key_id, "VALID")]
    assert_verdict(await clients[1].verify(text), "VALID", key_id=key.key_id)


# Rotation.


async def test_a_rotated_key_lives_until_the_end_of_its_grace(clients: list[AuthClient]) -> None:
    key, text = await clients[0].create(["join:*"], name="backend", environment="test", max_uses=5)
    assert_verdict(await clients[0].verify(text), "VALID", remaining_uses=4)
    async with clients[1].watch() as watch:
        answer = await rotate(clients[0], key.key_id, grace_s=3.0)
        new, old = answer.key, answer.replaced
        assert sorted(await watch.changes(2)) == sorted([(key.key_id, "VALID"), (new.key_id, "VALID")])
        assert (new.replaces, old.replaced_by) == (key.key_id, new.key_id)
        assert (new.name, list(new.permissions), new.environment, new.max_uses) == ("backend", ["join:*"], "test", 5)
        assert (old.use_count, new.use_count) == (1, 0)
        assert answer.api_key.startswith("tw_test_")
        assert not new.HasField("expire_time")
        assert_verdict(await clients[1].verify(answer.api_key), "VALID", key_id=new.key_id, remaining_uses=4)
        assert_verdict(await clients[1].verify(text), "VALID", key_id=key.key_id)
        assert await watch.changes(1) == [(key.key_id, "EXPIRED")]
    assert time.time_ns() // 10**6 >= old.expire_time.ToMilliseconds()
    assert_verdict(await clients[0].verify(text), "EXPIRED", key_id=key.key_id)
    assert_verdict(await clients[0].verify(answer.api_key), "VALID", key_id=new.key_id)


async def test_grace_never_outlives_the_keys_own_expiry(client: AuthClient) -> None:
    key, _ = await client.create(expires_in_s=60)
    answer = await rotate(client, key.key_id, grace_s=3600)
    assert answer.replaced.expire_time == key.expire_time
    assert answer.key.expire_time == key.expire_time
    later = in_s(7200)
    other = await rotate(client, answer.key.key_id, grace_s=0, expire_time=later)
    assert other.key.expire_time.ToMilliseconds() == later.ToMilliseconds()
    assert other.replaced.expire_time.ToMilliseconds() <= time.time_ns() // 10**6


async def test_what_cannot_be_rotated(client: AuthClient) -> None:
    key, _ = await client.create()
    with refused("INVALID_FIELD", field="grace"):
        await rotate(client, key.key_id, grace_s=None)
    with refused("INVALID_FIELD", field="grace"):
        await rotate(client, key.key_id, grace_s=367 * 86_400)
    with refused("KEY_NOT_FOUND"):
        await rotate(client, "nobody")
    await client.disable(key.key_id)
    with refused("KEY_NOT_ACTIVE"):
        await rotate(client, key.key_id)
    await client.revoke(key.key_id)
    with refused("KEY_REVOKED"):
        await rotate(client, key.key_id)


@pytest.mark.parametrize("expires_in_s", [None, 7200.0])
async def test_whoever_lost_the_answer_rotates_again(client: AuthClient, expires_in_s: float | None) -> None:
    key, text = await client.create(expires_in_s=expires_in_s)
    lost = await rotate(client, key.key_id)
    again = await rotate(client, key.key_id, grace_s=4000)
    assert again.replaced.expire_time == lost.replaced.expire_time
    assert (again.replaced.replaced_by, again.key.replaces) == (again.key.key_id, key.key_id)
    assert (again.key.HasField("expire_time"), again.key.expire_time) == (key.HasField("expire_time"), key.expire_time)
    for each in (text, lost.api_key, again.api_key):
        assert_verdict(await client.verify(each), "VALID")


# Removal.


async def test_a_deleted_key_cannot_be_told_from_one_that_never_was(clients: list[AuthClient]) -> None:
    key, text = await clients[0].create(max_uses=5)
    await clients[0].verify(text)
    async with clients[1].watch() as watch:
        await clients[0].call("DeleteKey", admin_pb2.DeleteKeyRequest(key_id=key.key_id, reason="done with"))
        assert await watch.changes(1) == [(key.key_id, "NOT_FOUND")]
    for client in clients:
        assert_verdict(await client.verify(text), "NOT_FOUND", key_id="")
        with refused("KEY_NOT_FOUND"):
            await client.get(key.key_id)
    with refused("KEY_NOT_FOUND"):
        await clients[0].call("DeleteKey", admin_pb2.DeleteKeyRequest(key_id=key.key_id))
    created, deleted = await audit_of(clients[1], key.key_id)
    assert (action_name(created), action_name(deleted)) == ("CREATED", "DELETED")
    assert (deleted.reason, deleted.before.max_uses, deleted.HasField("after")) == ("done with", 5, False)


# Lists.


async def test_a_list_is_filtered(clients: list[AuthClient]) -> None:
    owner = f"owner-{secrets.token_hex(4)}"
    made = {}
    for name, fields in {
        "Alpha live": {},
        "beta live": {"expires_in_s": 3600},
        "alpha test": {"environment": "test"},
        "gone": {},
    }.items():
        made[name], _ = await clients[0].create(owner=owner, name=name, **fields)
    await clients[0].revoke(made["gone"].key_id)

    async def names(**asked: Any) -> list[str]:
        answer = await clients[1].call("ListKeys", admin_pb2.ListKeysRequest(owner=owner, **asked))
        return [key.name for key in answer.keys]

    assert await names() == ["Alpha live", "beta live", "alpha test", "gone"]
    assert await names(name_contains="ALPHA") == ["Alpha live", "alpha test"]
    assert await names(environment="test") == ["alpha test"]
    assert await names(states=[keys_pb2.KEY_STATE_REVOKED]) == ["gone"]
    assert await names(states=[keys_pb2.KEY_STATE_ACTIVE, keys_pb2.KEY_STATE_REVOKED], environment="live") == [
        *("Alpha live", "beta live", "gone")
    ]
    assert await names(expires_before=in_s(7200)) == ["beta live"]
    assert await names(expires_before=in_s(60)) == []
    with refused("INVALID_FIELD", field="states[1]"):
        await names(states=[keys_pb2.KEY_STATE_ACTIVE, keys_pb2.KEY_STATE_UNSPECIFIED])
    with refused("INVALID_FIELD", field="environment"):
        await names(environment="moon")


async def test_pages_of_a_filtered_list_hold_each_key_once(client: AuthClient) -> None:
    owner = f"owner-{secrets.token_hex(4)}"
    for number in range(7):
        await client.create(owner=owner, name="even" if number % 2 == 0 else "odd")
    found, token = list[str](), ""
    while True:
        request = admin_pb2.ListKeysRequest(owner=owner, name_contains="even", page_size=2, page_token=token)
        page = await client.call("ListKeys", request)
        assert len(page.keys) <= 2
        found += [key.key_id for key in page.keys]
        token = page.next_page_token
        if not token:
            break
    assert len(found) == len(set(found)) == 4
