"""The systems of the other Compose files: mutual TLS between all services, and one of each on files."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from tests.support.compose import ComposedSystem
from tests.support.container_troubles import kill
from tests.support.http_client import http
from tests.support.protocol_client import Clients
from tests.support.target import Target

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1500)]


async def test_mutual_tls_between_all_services(compose: ComposedSystem) -> None:
    await asyncio.to_thread(compose.up, "compose.yaml", "compose.tls.yaml")
    target = Target(compose.url, api_key=compose.first_key(), has_debug=False)
    async with Clients(target) as clients:
        one, other = await clients.member("room"), await clients.member("room")
        await one.publish("room", "over TLS")
        assert (await other.take("chat_message"))["data"]["content"] == "over TLS"
    await asyncio.to_thread(assert_no_entry_without_a_certificate, compose)


def assert_no_entry_without_a_certificate(compose: ComposedSystem) -> None:
    trusting = ssl.create_default_context(cadata=compose.secret("tls/ca.pem"))
    trusting.set_alpn_protocols(["h2"])
    # Here the handshake itself tells; later versions tell only who reads on.
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection((compose.ip_of("auth-1"), 50051), timeout=30) as plain,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        trusting.wrap_socket(plain, server_hostname="auth")


async def test_one_of_each_on_files(compose: ComposedSystem) -> None:
    await asyncio.to_thread(compose.up, "compose.single.yaml")
    assert set(compose.containers()) == {"auth", "session", "edge"}
    target = Target(compose.url, api_key=compose.first_key(), has_debug=False)
    async with Clients(target) as clients:
        one, other = await clients.member("room"), await clients.member("room")
        confirmed = await one.publish("room", "kept")
        assert (await other.take("chat_message"))["data"]["content"] == "kept"
    for service in ("session", "auth", "edge"):
        await kill(compose, service)
        await asyncio.to_thread(compose.wait_well, service)
    async with Clients(target) as later:
        later.workspace = clients.workspace
        reader = await later.member("room", recover={"epoch": confirmed["data"]["epoch"], "offset": 0})
        assert (await reader.take("chat_message"))["data"]["content"] == "kept"
    assert http("GET", f"{compose.url}/").status == 200
