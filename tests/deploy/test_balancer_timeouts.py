"""A client that says nothing for a long time stays connected through each balancer: the edge's heartbeats are enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode

from tests.support.balancers import Balancer, idle_s
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import Clients, ProtocolClient
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually
from ws_edge.settings import EdgeSettings

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(120)]

BALANCERS = ("haproxy.cfg", "nginx.conf", "envoy.yaml")
# In the place of a minute or an hour, and of 25 s: the shortest of the configurations is three heartbeats.
IDLE_S = 6
HEARTBEAT_S = 2
# In this time a balancer ends a connection on which nothing passes, twice.
HEARTBEATS = 2 * IDLE_S // HEARTBEAT_S + 1


class Listening(ClientConnection):
    """Says nothing by itself, and counts the pings that it answers."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.pings = 0

    def process_event(self, event: Any) -> None:
        """Count, and do as always."""
        self.pings += isinstance(event, Frame) and event.opcode is Opcode.PING
        super().process_event(event)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("idle"), edge={"trusted-proxies": "127.0.0.1", "heartbeat-s": HEARTBEAT_S})
    with made:
        yield made


@pytest.fixture(scope="module")
def without_heartbeats(gateway: Gateway) -> ServiceProcess:
    """An edge that pings nobody while a test lasts."""
    return gateway.another_edge("silent", heartbeat_s=3600)


@pytest.fixture(params=BALANCERS)
def configuration(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def silent_client(clients: Clients) -> ProtocolClient:
    return await clients.connected(options={"ping_interval": None, "create_connection": Listening})


def before(edge: ServiceProcess, configuration: str, folder: Path) -> Balancer:
    """Return a balancer, started, that ends what is silent for `IDLE_S`."""
    balancer = Balancer(configuration, folder, [edge.port] * 2, idle_s=IDLE_S)
    balancer.start()
    return balancer


async def test_heartbeats_keep_a_connection_that_is_silent_otherwise(
    gateway: Gateway, configuration: str, tmp_path: Path
) -> None:
    balancer = before(gateway.edge, configuration, tmp_path)
    try:
        async with Clients(Target(balancer.url)) as clients:
            client = await silent_client(clients)
            socket = client.socket
            assert isinstance(socket, Listening)

            async def heard() -> bool:
                assert socket.close_code is None, "the connection ended"
                return socket.pings >= HEARTBEATS

            await eventually(heard, what=f"{HEARTBEATS} heartbeats")
            await client.assert_open()
    finally:
        balancer.stop()


async def test_without_them_the_balancer_ends_it(
    without_heartbeats: ServiceProcess, configuration: str, tmp_path: Path
) -> None:
    """So the test above tests something."""
    balancer = before(without_heartbeats, configuration, tmp_path)
    try:
        async with Clients(Target(balancer.url)) as clients:
            client = await silent_client(clients)

            async def ended() -> bool:
                return client.socket.close_code is not None

            await eventually(ended, what="the balancer ends it")
    finally:
        balancer.stop()


@pytest.mark.parametrize("file", [*BALANCERS, "haproxy-proxy-protocol.cfg"])
def test_the_times_as_configured_are_three_heartbeats_at_least(file: str) -> None:
    assert idle_s(file) >= 3 * EdgeSettings.model_fields["heartbeat_s"].default
