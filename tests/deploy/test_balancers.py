"""Two edges behind real balancers on the configurations of `deploy/balancers`: spread, health, drain, and who a client is."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.support.balancers import Balancer
from tests.support.client_sources import assert_counted_by_address
from tests.support.http_client import http, http_async
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import Clients, ProtocolClient, new_name
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(180)]

ATTEMPTS = 5
# Two checks of a balancer fail in this time.
EDGE = {"trusted-proxies": "127.0.0.1", "drain-wait-s": 4, "drain-s": 1, "heartbeat-s": 1}
NOT_SERVED = (AssertionError, ConnectionClosed, InvalidHandshake, OSError, TimeoutError)


@dataclass
class World:
    """Two edges, and a balancer before them."""

    gateway: Gateway
    edges: Sequence[ServiceProcess]
    balancer: Balancer

    @property
    def target(self) -> Target:
        return Target(self.balancer.url)

    async def counts(self) -> list[int]:
        """Return how many clients each edge has."""
        answers = [await http_async("GET", f"http://{edge.address}/health") for edge in self.edges]
        return [int(answer.json()["connections"]) for answer in answers]

    async def newcomer(self, clients: Clients) -> tuple[int, ProtocolClient]:
        """Return one more client, and the number of its edge."""
        before = await self.counts()
        client = await clients.connected()
        after = await self.counts()
        (edge,) = [n for n, (few, many) in enumerate(zip(before, after, strict=True)) if many > few]
        return edge, client

    async def until_counts(self, *counts: int) -> None:
        """Return when the edges have so many clients."""

        async def reached() -> bool:
            return await self.counts() == list(counts)

        await eventually(reached, what=f"the edges have {counts} clients")

    async def until_both_serve(self) -> None:
        """Return when each of two new clients goes to an edge of its own."""

        async def spread() -> bool:
            try:
                async with Clients(self.target) as clients:
                    edges = {(await self.newcomer(clients))[0] for _ in range(2)}
            except NOT_SERVED:  # before the balancer has found out that it may
                return False
            await self.until_counts(0, 0)
            return len(edges) == 2

        await eventually(spread, what="both edges get clients")


@pytest.fixture(scope="module", params=("haproxy.cfg", "nginx.conf", "envoy.yaml"))
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything, with one kind of balancer."""
    folder = tmp_path_factory.mktemp(request.param.partition(".")[0])
    gateway = Gateway(folder, auth={"failed-attempts-per-minute": ATTEMPTS}, edge=EDGE)
    balancer: Balancer | None = None
    try:
        gateway.start()
        edges = [gateway.edge, gateway.another_edge("other")]
        balancer = Balancer(request.param, folder, [edge.port for edge in edges])
        balancer.start()
        yield World(gateway, edges, balancer)
        gateway.stop()
    finally:
        if balancer is not None:
            balancer.stop()
        gateway.kill()


async def test_clients_are_spread_by_how_many_each_edge_has(world: World) -> None:
    await world.until_both_serve()
    async with Clients(world.target) as clients:
        everyone = [await world.newcomer(clients) for _ in range(8)]
        await world.until_counts(4, 4)
        for edge, client in everyone:
            if edge == 0:
                await client.close()
        await world.until_counts(0, 4)
        late = [await world.newcomer(clients) for _ in range(4)]
        assert [edge for edge, _ in late] == [0] * 4
        await assert_heard(late[0][1], next(client for edge, client in everyone if edge == 1))
    await world.until_counts(0, 0)


async def assert_heard(one: ProtocolClient, other: ProtocolClient) -> None:
    """Fail unless what one publishes comes to the other: through the balancer, and over both edges."""
    channel = new_name("room")
    for client in (one, other):
        await client.join(channel)
    await one.publish(channel, "hello")
    assert (await other.take("chat_message"))["data"]["content"] == "hello"


async def test_an_edge_that_hangs_gets_no_clients_until_it_is_well(world: World) -> None:
    if world.balancer.name == "nginx":
        pytest.skip("open-source nginx asks no edge for its health")
    await world.until_both_serve()
    hanging = world.edges[0]

    async def left_out() -> bool:
        try:
            async with Clients(world.target) as clients:
                for _ in range(4):
                    await clients.open(open_timeout=2)
        except NOT_SERVED:
            return False
        return True

    hanging.freeze()
    try:
        await eventually(left_out, what="the edge that hangs is left out")
    finally:
        hanging.thaw()
    await world.until_counts(0, 0)
    await world.until_both_serve()


async def test_an_edge_drains_and_every_client_is_told(world: World) -> None:
    await world.until_both_serve()
    draining, staying = world.edges
    async with Clients(world.target) as clients:
        everyone = [await world.newcomer(clients) for _ in range(20)]
        goodbyes = {client.client_id: asyncio.create_task(goodbye(client)) for _, client in everyone}
        newcomers = asyncio.create_task(come_and_go(world.target, while_runs=draining))
        assert await asyncio.to_thread(draining.stop) == 0
        outcomes = Counter(await newcomers)
        assert set(outcomes) == {"served"}, f"clients that came meanwhile: {outcomes}"
        for edge, client in everyone:
            if edge == 0:
                assert await goodbyes[client.client_id] == (1001, True), "told why, and to come back"
            else:
                assert not goodbyes[client.client_id].done(), "those of the other edge stay"
        for _ in range(10):
            await clients.connected()
        answer = await http_async("GET", f"http://{staying.address}/health")
        assert answer.json()["connections"] == 20
        for task in goodbyes.values():
            task.cancel()
        await asyncio.gather(*goodbyes.values(), return_exceptions=True)
    await asyncio.to_thread(draining.start)
    await asyncio.to_thread(world.gateway.wait_ready, draining)
    await world.until_both_serve()


async def goodbye(client: ProtocolClient) -> tuple[int, bool]:
    """Return the close code that a client gets, and whether it is told to come back."""
    comes_back = False
    try:
        while True:
            frame = json.loads(await client.socket.recv())
            if frame["type"] == "disconnect":
                comes_back = frame["data"]["reconnect"]
    except ConnectionClosed as closed:
        return (closed.rcvd.code if closed.rcvd else 1006), comes_back


async def come_and_go(target: Target, while_runs: ServiceProcess) -> list[str]:
    """Connect as new clients, one after the other, while a process runs; return how each fared."""
    outcomes = []
    while while_runs.running:
        try:
            async with Clients(target) as clients:
                await clients.connected()
            outcomes.append("served")
        except NOT_SERVED as failure:
            outcomes.append(f"{type(failure).__name__}: {failure}")
    return outcomes


async def test_a_client_is_known_by_its_own_address_and_cannot_take_anothers(world: World) -> None:
    await assert_counted_by_address(world.target, ATTEMPTS)


def test_the_public_sees_no_metrics(world: World) -> None:
    assert http("GET", f"{world.balancer.url}/metrics").status == 404
    assert http("GET", f"{world.balancer.url}/ready").status == 200
