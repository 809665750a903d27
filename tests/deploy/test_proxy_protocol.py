"""PROXY headers: believed from trusted proxies, demanded of them, and never read from anybody else."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.exceptions import InvalidMessage

from tests.support.authority import Authority
from tests.support.balancers import Balancer
from tests.support.client_sources import assert_counted_by_address, attempt
from tests.support.http_client import http
from tests.support.ports import free_port
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import Clients
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

ATTEMPTS = 5
# Of the proxy. Whoever comes from 127.0.0.1 is not trusted.
PROXY = "127.0.0.8"
DEADLINE_S = 30.0


@dataclass
class World:
    """Two edges that speak TLS behind HAProxy that passes bytes on, and one in plain text."""

    gateway: Gateway
    balancer: Balancer
    authority: Authority

    @property
    def target(self) -> Target:
        return Target(f"http://{self.gateway.edge.address}")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("proxied")
    edge = {"proxy-protocol": True, "trusted-proxies": PROXY}
    gateway = Gateway(folder, auth={"failed-attempts-per-minute": ATTEMPTS}, edge=edge)
    authority = Authority()
    others: list[ServiceProcess] = []
    balancer: Balancer | None = None
    try:
        gateway.start()
        others = [tls_edge(gateway, authority, folder, number) for number in (1, 2)]
        ports = [int(other.facts["metrics_port"]) for other in others]
        balancer = Balancer("haproxy-proxy-protocol.cfg", folder, [other.port for other in others], ports, PROXY)
        balancer.start()
        yield World(gateway, balancer, authority)
        assert [other.stop() for other in others] == [0, 0]
        gateway.stop()
    finally:
        if balancer is not None:
            balancer.stop()
        for other in others:
            if other.running:
                other.kill9()
        gateway.kill()


def tls_edge(gateway: Gateway, authority: Authority, folder: Path, number: int) -> ServiceProcess:
    """Start one more edge, which ends TLS itself."""
    identity = authority.identity(folder / f"tls-{number}", "public")
    flags = {
        "auth-target": gateway.auth.address,
        "session-target": gateway.session.address,
        "proxy-protocol": True,
        "trusted-proxies": PROXY,
        "public-tls-cert-file": identity.cert,
        "public-tls-key-file": identity.key,
        "metrics-port": free_port(),
    }
    variables = {"TIDEWIRE_SERVICE_TOKEN": gateway.service_token}
    edge = ServiceProcess("ws_edge", folder, flags, variables, f"ws_edge-tls-{number}")
    edge.start()
    url = f"http://127.0.0.1:{edge.facts['metrics_port']}/ready"
    wait_until(lambda: http("GET", url).status == 200, DEADLINE_S, "a message goes round")
    return edge


async def test_a_client_behind_bytes_that_are_passed_on_is_known_by_its_own_address(world: World) -> None:
    """HAProxy, version 2 of the header, and TLS behind it."""
    trusting = ssl.create_default_context(cadata=world.authority.pem.decode())

    class Secure(Target):
        @property
        def ws_url(self) -> str:
            return "wss" + self.http_url.removeprefix("http")

    target = Secure(world.balancer.url.replace("127.0.0.1", "localhost"))
    answers = [await attempt(target, ssl=trusting, local_addr=("127.0.0.19", 0)) for _ in range(ATTEMPTS + 1)]
    assert answers == ["invalid_key"] * ATTEMPTS + ["rate_limited"]
    assert await attempt(target, ssl=trusting, local_addr=("127.0.0.20", 0)) == "invalid_key"


def announced(world: World, header: bytes, source: str = PROXY) -> socket.socket:
    """Return a connection that has begun with a header."""
    connection = socket.create_connection(
        ("127.0.0.1", world.gateway.edge.port), timeout=DEADLINE_S, source_address=(source, 0)
    )
    connection.sendall(header)
    return connection


async def test_a_line_of_version_1_names_the_client(world: World) -> None:
    def through(client: str) -> socket.socket:
        return announced(world, f"PROXY TCP4 {client} 127.0.0.1 4711 8000\r\n".encode())

    answers = [await attempt(world.target, sock=through("192.0.2.1")) for _ in range(ATTEMPTS + 1)]
    assert answers == ["invalid_key"] * ATTEMPTS + ["rate_limited"]
    assert await attempt(world.target, sock=through("192.0.2.2")) == "invalid_key"


async def test_a_client_that_comes_by_itself_is_served_without_a_header(world: World) -> None:
    async with Clients(world.target) as clients:
        await clients.connected()


async def test_clients_that_come_by_themselves_are_counted_by_their_own_addresses(world: World) -> None:
    await assert_counted_by_address(world.target, ATTEMPTS)


@pytest.mark.parametrize("header", [b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 8000\r\n", b"PROXY UNKNOWN\r\n"])
async def test_nobody_else_may_send_one(world: World, header: bytes) -> None:
    with pytest.raises(InvalidMessage):
        await attempt(world.target, sock=announced(world, header, "127.0.0.1"))


@pytest.mark.parametrize(
    "header", [b"", b"PROXY TCP4 client 127.0.0.1 1 2\r\n", b"\r\n\r\n\x00\r\nQUIT\n\x11\x11\x00\x00"]
)
def test_a_trusted_proxy_must_send_one(world: World, header: bytes) -> None:
    with announced(world, header) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n" if not header else b"")
        assert receive_all(connection) == b""


def receive_all(connection: socket.socket) -> bytes:
    received = b""
    try:
        while data := connection.recv(4096):
            received += data
    except ConnectionResetError:
        pass
    return received


def test_a_proxy_that_speaks_for_itself_is_answered(world: World) -> None:
    with announced(world, b"PROXY UNKNOWN\r\n") as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert receive_all(connection).startswith(b"HTTP/1.1 200 ")
