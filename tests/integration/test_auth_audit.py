"""The audit log over gRPC, on a file and on two services that share a Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tidewire.auth.v1 import admin_pb2

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
from tests.support.auth_client import AuthClient, refused
from tests.support.processes import ServiceProcess

pytestmark = pytest.mark.integration


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


async def test_the_audit_log_says_who_did_what(services: list[ServiceProcess], clients: list[AuthClient]) -> None:
    boss, boss_text = await clients[0].create(["admin:keys.write", "admin:audit.read"])
    async with AuthClient(services[-1].address, f"Bearer {boss_text}") as by_key:
        key, text = await by_key.create(name="first")
        await update(clients[0], key.key_id, "name", name="second")
        await by_key.disable(key.key_id, "lost")
        await by_key.disable(key.key_id, "lost again")
        await by_key.enable(key.key_id)
        await rotate(by_key, key.key_id)
        await clients[0].revoke(key.key_id, "stolen")
        entries = await audit_of(by_key, key.key_id)
    me = f"key:{boss.key_id}"
    assert [(action_name(entry), entry.actor, entry.reason) for entry in entries] == [
        ("CREATED", me, ""),
        ("UPDATED", "service-token", ""),
        ("DISABLED", me, "lost"),
        ("ENABLED", me, ""),
        ("ROTATED", me, ""),
        ("REVOKED", "service-token", "stolen"),
    ]
    assert [entry.revision for entry in entries] == sorted(entry.revision for entry in entries)
    assert (entries[1].before.name, entries[1].after.name) == ("first", "second")
    assert [entry.before for entry in entries[1:]] == [entry.after for entry in entries[:-1]]
    assert entries[0].time.ToMilliseconds() == key.create_time.ToMilliseconds()
    written = b"".join(entry.SerializeToString() for entry in entries)
    assert text.encode() not in written
    assert text.split("_")[3].encode() not in written


async def test_the_audit_log_is_filtered(clients: list[AuthClient]) -> None:
    start = in_s(0)
    key, _ = await clients[0].create()
    await clients[1].disable(key.key_id)

    async def listed(**asked: Any) -> list[str]:
        answer = await clients[1].call("ListAuditEntries", admin_pb2.ListAuditEntriesRequest(**asked))
        return [action_name(entry) for entry in answer.entries if entry.key_id == key.key_id]

    assert await listed(start_time=start, page_size=1000) == ["DISABLED", "CREATED"]
    assert await listed(key_id=key.key_id, actions=[admin_pb2.AUDIT_ACTION_CREATED]) == ["CREATED"]
    assert await listed(key_id=key.key_id, actor="service-token") == ["DISABLED", "CREATED"]
    assert await listed(key_id=key.key_id, actor="system") == []
    assert await listed(key_id=key.key_id, end_time=start) == []
    for field, asked in {
        "actions[0]": {"actions": [admin_pb2.AUDIT_ACTION_UNSPECIFIED]},
        "key_id": {"key_id": "tw_live_whole_key"},
        "page_size": {"page_size": 1001},
        "page_token": {"page_token": "x"},
    }.items():
        with refused("INVALID_FIELD", field=field):
            await listed(**asked)


async def test_changes_at_once_through_two_services_are_all_in_the_log(
    services: list[ServiceProcess], clients: list[AuthClient]
) -> None:
    key, _ = await clients[0].create(name="start")
    await clients[1].enable(key.key_id)
    await asyncio.gather(
        *(update(clients[number % 2], key.key_id, "name", name=f"n{number}") for number in range(AT_ONCE))
    )
    entries = await audit_of(clients[0], key.key_id)
    assert {entry.after.name for entry in entries} == {"start", *(f"n{number}" for number in range(AT_ONCE))}
    assert [entry.before for entry in entries[1:]] == [entry.after for entry in entries[:-1]]
    assert sum(process.log().count(key.key_id) for process in services) == len(entries) == 1 + AT_ONCE


async def test_a_rotation_among_updates_loses_none_of_them(clients: list[AuthClient]) -> None:
    key, _ = await clients[0].create(name="start")
    *_, turned = await asyncio.gather(
        *(update(clients[number % 2], key.key_id, "name", name=f"n{number}") for number in range(AT_ONCE)),
        rotate(clients[1], key.key_id),
    )
    entries = await audit_of(clients[0], key.key_id)
    assert {entry.after.name for entry in entries} == {"start", *(f"n{number}" for number in range(AT_ONCE))}
    assert [entry.before for entry in entries[1:]] == [entry.after for entry in entries[:-1]]
    (rotated,) = [entry for entry in entries if action_name(entry) == "ROTATED"]
    assert turned.key.name == rotated.before.name == rotated.after.name
    last = await clients[1].get(key.key_id)
    assert (last.name, last.replaced_by) == (entries[-1].after.name, turned.key.key_id)
