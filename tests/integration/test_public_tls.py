"""The edge's public port over TLS: WSS and HTTPS, and a certificate that is replaced while clients stay."""

from __future__ import annotations

import asyncio
import re
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.authority import Authority, Identity, put
from tests.support.commands import ANY_PORTS, Command, Status
from tests.support.http_client import http
from tests.support.protocol_client import Clients, ProtocolClient
from tests.support.target import Target
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def identity(tmp_path: Path, authority: Authority) -> Identity:
    return authority.identity(tmp_path / "tls", "public")


@pytest.fixture
def run(tmp_path: Path, identity: Identity) -> Iterator[Command]:
    variables = {
        "TIDEWIRE_EDGE_PUBLIC_TLS_CERT_FILE": str(identity.cert),
        "TIDEWIRE_EDGE_PUBLIC_TLS_KEY_FILE": str(identity.key),
    }
    arguments = ("start", "--this-python", *ANY_PORTS, "--data-dir", str(tmp_path / "data"))
    command = Command("manage.py", *arguments, directory=tmp_path, variables=variables)
    try:
        command.wait_for(r"(?m)^ready")
        yield command
        command.send(signal.SIGTERM)
        command.finish()
    finally:
        command.kill()


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.pem.decode())


async def connected(clients: Clients, authority: Authority) -> ProtocolClient:
    return await clients.connected(options={"ssl": trusting(authority)})


async def test_clients_live_over_tls_and_the_certificate_is_replaced_under_them(
    run: Command, tmp_path: Path, authority: Authority, identity: Identity
) -> None:
    (line,) = run.lines("ready")
    found = re.search(r"edge (https://\S+)", line)
    assert found, line
    url = found[1].rstrip(",;")
    await asyncio.to_thread(wait_until, lambda: Status(tmp_path / "data").ready, 20.0, "status says ready")
    with pytest.raises(OSError):
        await asyncio.to_thread(http, "GET", url.replace("https", "http"))
    async with Clients(Target(url)) as clients:
        client = await connected(clients, authority)
        await client.join("lobby")
        await client.publish("lobby", "before")
        after = Authority()
        after.identity(tmp_path / "tls", "public")
        await connected(clients, after)
        with pytest.raises(ssl.SSLCertVerificationError):
            await connected(clients, authority)
        put(identity.key, b"")
        await connected(clients, after)
        await client.publish("lobby", "after")
        refused = await clients.open(ssl=trusting(after))
        await refused.send_connect(clients.workspace, api_key="no-such-key")
        await refused.expect_refusal("invalid_key", 403)
