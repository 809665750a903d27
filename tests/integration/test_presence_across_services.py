"""Two session services on one Redis, an edge on each: presence, disconnects and receipts are of both, whoever is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ServiceProcess
from tests.support.protocol_client import Clients, ProtocolClient, new_name
from tests.support.redis_server import RedisServer
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually
from tidewire_client import Channels, NotFound

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

LEASE_S = 2.0
GRACE_S = 1.0
BOUND_S = 30.0
CHANNEL = "lobby"


class Site:
    """Two session services, and an edge on each.

    Args:
        directory: For everything.
    """

    def __init__(self, directory: Path) -> None:
        self.redis = RedisServer(directory / "redis")
        self._flags = {"service-lease-s": LEASE_S, "edge-grace-s": GRACE_S}
        self._directory = directory
        self.gateway: Gateway
        self.second: ServiceProcess
        self.there: ServiceProcess
        self._more: list[ServiceProcess] = []
        self._clients: list[Clients] = []
        self.workspace = new_name("w")

    def start(self) -> None:
        self.redis.start()
        self.gateway = Gateway(self._directory, session=self._flags, redis=self.redis.url)
        self.gateway.start()
        self.second = self.another_session("second")
        self.second.start()
        self.there = self.gateway.another_edge("there", session_target=self.second.address)

    def another_session(self, name: str) -> ServiceProcess:
        """Return one more session service on the same Redis."""
        flags = {"data-dir": self._directory / "data", "auth-target": self.gateway.auth.address, **self._flags}
        variables = {
            "TIDEWIRE_MODE": "development",
            "TIDEWIRE_SERVICE_TOKEN": self.gateway.service_token,
            "TIDEWIRE_SESSION_ENGINE_URL": self.redis.url,
        }
        made = ServiceProcess("session_service", self._directory, flags, variables, f"session_service-{name}")
        self._more.append(made)
        return made

    def leases(self) -> set[str]:
        """Return the services that Redis knows."""
        return set(self.redis.command("ZRANGE", "tidewire:session:services", 0, -1))

    def stop(self) -> None:
        """Stop everything in order."""
        codes = [service.stop() for service in self._more if service.running]
        assert set(codes) <= {0}
        self.gateway.stop()

    def kill(self) -> None:
        """End whatever still runs."""
        for service in self._more:
            if service.running:
                service.kill9()
        self.gateway.kill()
        self.redis.stop()

    def clients(self, edge: ServiceProcess) -> Clients:
        """Return what makes clients of an edge, in the site's workspace."""
        made = Clients(Target.of(self.gateway, edge))
        made.workspace = self.workspace
        self._clients.append(made)
        return made

    async def close_clients(self) -> None:
        for clients in self._clients:
            await clients.__aexit__()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    try:
        await asyncio.to_thread(made.start)
        yield made
        await made.close_clients()
        await asyncio.to_thread(made.stop)
    finally:
        await asyncio.to_thread(made.kill)


async def hears(watcher: ProtocolClient, event: str, client_id: str) -> None:
    """The watcher's next frame must tell that a client came or went."""
    update = await watcher.expect("presence_update", event=event, channel=CHANNEL)
    assert update["data"]["member"]["client_id"] == client_id


async def members(client: ProtocolClient) -> list[Any]:
    """Return who is present, as a client is answered, in order."""
    frame_id = await client.send("presence", {"channel": CHANNEL})
    answer = await client.take("presence", frame_id=frame_id)
    return list(answer["data"]["members"])


async def sees(client: ProtocolClient, *names: str) -> None:
    """Return when the client is told that exactly these are present."""

    async def they_are() -> bool:
        return [member["client_id"] for member in await members(client)] == list(names)

    await eventually(they_are, BOUND_S, f"{names} are present")


async def test_members_of_both_services_see_each_other(site: Site) -> None:
    here, there = site.clients(site.gateway.edge), site.clients(site.there)
    watcher = await here.member(CHANNEL, "watcher", presence=True)
    other = await there.member(CHANNEL, "other-watcher", presence=True)
    await hears(watcher, "join", "other-watcher")
    bob = await there.member(CHANNEL, "bob")
    await hears(watcher, "join", "bob")
    await hears(other, "join", "bob")
    for client in (watcher, other, bob):
        await sees(client, "watcher", "other-watcher", "bob")
    again = await here.member(CHANNEL, "bob")
    await bob.close()
    await sees(other, "watcher", "other-watcher", "bob")
    await again.send("leave_channel", {"channel": CHANNEL})
    await hears(watcher, "leave", "bob")
    await hears(other, "leave", "bob")
    await watcher.assert_open()
    await other.assert_open()


async def test_receipts_and_disconnects_are_of_both_services(site: Site) -> None:
    here, there = site.clients(site.gateway.edge), site.clients(site.there)
    alice = await here.member(CHANNEL, "alice")
    twice = [await edge.member(CHANNEL, "bob") for edge in (here, there)]
    carol = await there.member(CHANNEL, "carol")
    published = await alice.publish(CHANNEL, "hello")
    for client in (alice, *twice, carol):
        await client.take("chat_message")
    frame_id = await carol.send("receipt", {"channel": CHANNEL, "offset": published["data"]["offset"]})
    receipt = await carol.take("receipt", frame_id=frame_id)
    assert receipt["data"]["written"] == 4, "bob is counted by both services"
    options = {"token": site.gateway.service_token, "client_id": "backend", "domain": "tests"}
    async with Channels(site.gateway.session.address, workspace=site.workspace, **options) as channels:
        assert await channels.disconnect("bob", reason="enough") == 2
        for bob in twice:
            goodbye = await bob.take("disconnect")
            assert (goodbye["data"]["reason"], goodbye["data"]["reconnect"]) == ("enough", False)
        assert await channels.disconnect("carol", reason="enough") == 1
        await carol.take("disconnect")
        with pytest.raises(NotFound):
            await channels.disconnect("nobody")


async def test_clients_of_an_edge_that_is_killed_leave_after_the_grace(site: Site) -> None:
    here, there = site.clients(site.gateway.edge), site.clients(site.there)
    watcher = await here.member(CHANNEL, "watcher", presence=True)
    await there.member(CHANNEL, "stays-away")
    await hears(watcher, "join", "stays-away")
    await there.member(CHANNEL, "comes-here")
    await hears(watcher, "join", "comes-here")
    await asyncio.to_thread(site.there.kill9)
    moved = await here.member(CHANNEL, "comes-here")
    await hears(watcher, "leave", "stays-away")
    await sees(watcher, "watcher", "comes-here")
    await moved.close()
    await hears(watcher, "leave", "comes-here")
    await watcher.assert_open()


async def test_clients_of_a_service_that_is_killed_leave_after_the_lease_and_come_back_with_it(site: Site) -> None:
    here, there = site.clients(site.gateway.edge), site.clients(site.there)
    watcher = await here.member(CHANNEL, "watcher", presence=True)
    bob = await there.member(CHANNEL, "bob")
    await hears(watcher, "join", "bob")
    await asyncio.to_thread(site.second.kill9)
    await hears(watcher, "leave", "bob")
    await sees(watcher, "watcher")
    await asyncio.to_thread(site.second.start)
    await hears(watcher, "join", "bob")
    await sees(watcher, "watcher", "bob")
    await sees(bob, "watcher", "bob")
    await watcher.assert_open()


async def test_clients_of_a_service_that_is_frozen_leave_after_the_lease_and_join_when_it_thaws(site: Site) -> None:
    here, there = site.clients(site.gateway.edge), site.clients(site.there)
    watcher = await here.member(CHANNEL, "watcher", presence=True)
    bob = await there.member(CHANNEL, "bob")
    await hears(watcher, "join", "bob")
    before = site.leases()
    site.second.freeze()
    await hears(watcher, "leave", "bob")
    site.second.thaw()
    await hears(watcher, "join", "bob")
    for client in (watcher, bob):
        await sees(client, "watcher", "bob")
    assert len(site.leases() & before) == 1, "a lease that was lost is never taken up again"
    await watcher.assert_open()


@pytest.mark.parametrize("ends", ["stopped", "killed"])
async def test_clients_whose_edge_moves_to_another_service_neither_leave_nor_join(site: Site, ends: str) -> None:
    third = site.another_session("third")
    await asyncio.to_thread(third.start)
    third.stop()
    places = f"ipv4:{site.second.address},{third.address}"
    wandering = await asyncio.to_thread(site.gateway.another_edge, "wandering", session_target=places)
    here, away = site.clients(site.gateway.edge), site.clients(wandering)
    watcher = await here.member(CHANNEL, "watcher", presence=True)
    bob = await away.member(CHANNEL, "bob")
    await hears(watcher, "join", "bob")
    await sees(watcher, "watcher", "bob")
    (before,) = [member for member in await members(watcher) if member["client_id"] == "bob"]
    leases = site.leases()
    await asyncio.to_thread(third.start)
    await asyncio.to_thread(site.second.stop if ends == "stopped" else site.second.kill9)

    async def is_forgotten() -> bool:
        return len(site.leases() & leases) == 1

    await eventually(is_forgotten, BOUND_S, "nothing is left of the service that ended")
    await here.member(CHANNEL, "last")
    await hears(watcher, "join", "last")
    for client in (watcher, bob):
        await sees(client, "watcher", "bob", "last")
    assert before in await members(watcher), "present since the same time"
    await bob.close()
    await hears(watcher, "leave", "bob")
    await watcher.assert_open()
