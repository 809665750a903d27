"""`/debug` of three real services: who may look, what is shown, and that it is never on another port."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.http_client import HttpAnswer, http_async
from tests.support.key_admin import MadeKey
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import Clients, new_name
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ADMIN_PORT: dict[str, object] = {"admin-port": 0, "metrics-port": 0, "log-level": "debug"}
SERVICES = ("auth", "session", "edge")


class World:
    """A gateway whose services have admin ports, and a key that opens them."""

    def __init__(self, gateway: Gateway, key: MadeKey) -> None:
        self.gateway = gateway
        self.key = key

    def process(self, service: str) -> ServiceProcess:
        process: ServiceProcess = getattr(self.gateway, service)
        return process

    async def get(self, service: str, path: str, key: str | None = None) -> HttpAnswer:
        port = self.process(service).facts["admin_port"]
        headers = {"Authorization": f"Bearer {key or self.key.api_key}"}
        return await http_async("GET", f"http://127.0.0.1:{port}{path}", headers=headers)

    async def rows(self, service: str, name: str, limit: int = 100) -> list[Mapping[str, Any]]:
        """Return all rows of a list, page by page."""
        found: list[Mapping[str, Any]] = []
        after: object = ""
        while after is not None:
            answer = (await self.get(service, f"/debug/{name}?limit={limit}&after={after}")).json()
            assert len(answer[name]) <= limit
            found += answer[name]
            after = answer["next"]
        return found


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    gateway = Gateway(tmp_path, auth=ADMIN_PORT, session=ADMIN_PORT, edge=ADMIN_PORT)
    async with gateway:
        key = await asyncio.to_thread(gateway.key_admin().create, ["admin:debug"])
        yield World(gateway, key)


async def test_connections_and_channels_are_shown_and_never_what_is_in_them(world: World) -> None:
    secret = f"secret-{secrets.token_hex(8)}"
    async with Clients(Target.of(world.gateway)) as clients:
        channel = new_name("room")
        alice, bob = await clients.member(channel), await clients.member(channel)
        stranger = await clients.open()
        confirmed = await alice.publish(channel, secret)
        await bob.take("chat_message")
        answers = [
            await world.get(service, f"/debug/{name}")
            for service, name in [("edge", "connections"), ("edge", "channels"), ("session", "channels")]
        ]
        connections = {row["client_id"]: row for row in await world.rows("edge", "connections", limit=2)}
        on_edge = {row["channel"]: row for row in await world.rows("edge", "channels", limit=2)}
        in_session = {row["channel"]: row for row in await world.rows("session", "channels", limit=2)}
        sessions = {row["client_id"]: row for row in await world.rows("session", "sessions", limit=1)}

    shown = connections[alice.client_id]
    assert shown["state"] == "authenticated"
    assert channel in shown["channels"]
    assert shown["key_id"] == sessions[alice.client_id]["key_id"]
    assert shown["session_id"] == sessions[alice.client_id]["id"]
    assert shown["outbox_bytes"] == 0
    assert shown["age_s"] >= 0
    assert connections[stranger.client_id]["state"] == "awaiting_key"
    assert connections[stranger.client_id]["key_id"] is None
    assert stranger.client_id not in sessions
    (topic,) = [name for name in on_edge if name.endswith(f"/{channel}")]
    position = {"epoch": confirmed["data"]["epoch"], "offset": confirmed["data"]["offset"]}
    assert on_edge[topic].items() >= {"members": 2, **position}.items()
    assert in_session[topic].items() >= {"members": 2, "edges": 1, **position}.items()
    for answer in answers:
        assert answer.status == 200
        assert secret.encode() not in answer.body
        assert not [text for text in world.gateway.canaries if text.encode() in answer.body]


async def test_who_is_connected_to_the_services_behind_is_shown(world: World) -> None:
    async def nothing_waits() -> bool:
        (edge,) = await world.rows("session", "connections")
        assert edge["state"] == "attached"
        return int(edge["outbox_bytes"]) == 0

    await eventually(nothing_waits, what="what was under way to the edge, such as a canary, is written")
    watchers = await world.rows("auth", "connections")
    assert {watcher["caller"] for watcher in watchers} == {"service-token"}
    assert len(watchers) == 2, "the edge and the session service"
    assert (await world.get("auth", "/debug/channels")).status == 404


@pytest.mark.parametrize("service", SERVICES)
async def test_tasks_and_a_profile_are_shown(world: World, service: str) -> None:
    tasks = (await world.get(service, "/debug/tasks")).json()
    places = [place for group in tasks["tasks"] for place in group["stack"]]
    assert any("LoopLag.run (service_runtime/loop_lag.py:" in place for place in places)
    assert not [place for place in places if "(/" in place], "no path of the machine"

    async def profiled() -> bool:
        text = (await world.get(service, "/debug/profile?seconds=1")).body.decode()
        return "MainThread;" in text

    await eventually(profiled, what="the profile has seen something")


@pytest.mark.parametrize("service", SERVICES)
async def test_only_a_key_with_the_permission_opens_the_port(world: World, service: str) -> None:
    admin = world.gateway.key_admin()
    poor = await asyncio.to_thread(admin.create, ["join:*", "admin:verify"])
    limited = await asyncio.to_thread(admin.create, ["*:*"], domains=["tests"])
    gone = await asyncio.to_thread(admin.create, ["admin:debug"])
    await asyncio.to_thread(admin.revoke, gone)
    assert (await world.get(service, "/debug")).status == 200
    assert (await world.get(service, "/debug", poor.api_key)).status == 403
    assert (await world.get(service, "/debug", limited.api_key)).status == 403
    assert (await world.get(service, "/debug", gone.api_key)).status == 401
    assert (await world.get(service, "/debug", f"{world.key.api_key[:-1]}~")).status == 401
    assert (await world.get(service, "/debug", world.gateway.service_token)).status == 401


async def test_a_key_that_is_revoked_is_out_at_once(world: World) -> None:
    assert (await world.get("edge", "/debug")).status == 200
    await asyncio.to_thread(world.gateway.key_admin().revoke, world.key)

    async def out() -> bool:
        return (await world.get("edge", "/debug")).status == 401

    await eventually(out, what="the edge has heard of it")


@pytest.mark.parametrize("service", ["session", "edge"])
async def test_without_the_auth_service_an_unknown_key_is_told_so(world: World, service: str) -> None:
    fresh = await asyncio.to_thread(world.gateway.key_admin().create, ["admin:debug"])
    world.gateway.auth.kill9()
    answer = await world.get(service, "/debug/tasks", fresh.api_key)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["error"]["error_type"] == "unavailable"
    assert "auth service" in answer.json()["error"]["message"]


async def test_no_other_port_serves_it(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.key.api_key}"}
    ports = [world.process(service).facts["metrics_port"] for service in SERVICES]
    for port in [world.gateway.edge.port, *ports]:
        answer = await http_async("GET", f"http://127.0.0.1:{port}/debug/tasks", headers=headers)
        assert answer.status == 404 or b'"tasks"' not in answer.body


async def test_without_a_port_there_is_nothing(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    async with gateway:
        assert [p.name for p in gateway.processes if "admin_port" in p.facts] == []
