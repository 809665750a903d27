"""TLS and mutual TLS, with certificates made for the occasion."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import trustme

from service_runtime.grpc_channel import open_channel
from service_runtime.grpc_server import GrpcServer
from service_runtime.settings import ServiceSettings, make_settings
from service_runtime.tls import channel_credentials, server_credentials
from tests.unit.service_runtime.rpc import call, echo, handler


@dataclass(frozen=True)
class Identity:
    """Files of a certificate, and of who signed it."""

    certificate: Path
    key: Path
    authority: Path

    def settings(self, *, show: bool = True, client_auth: bool = False) -> ServiceSettings:
        given = {"tls_ca_file": self.authority, "tls_client_auth": client_auth}
        if show:
            given |= {"tls_cert_file": self.certificate, "tls_key_file": self.key}
        return make_settings(ServiceSettings, given)


@pytest.fixture(scope="module")
def new_authority(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Identity]:
    """Make an authority, and a certificate of it for this machine."""

    def make() -> Identity:
        folder = tmp_path_factory.mktemp("tls")
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        identity = Identity(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
        identity.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        identity.key.write_bytes(issued.private_key_pem.bytes())
        identity.authority.write_bytes(authority.cert_pem.bytes())
        return identity

    return make


@pytest.fixture(scope="module")
def ours(new_authority: Callable[[], Identity]) -> Identity:
    return new_authority()


@pytest.fixture(scope="module")
def theirs(new_authority: Callable[[], Identity]) -> Identity:
    return new_authority()


@asynccontextmanager
async def serving(settings: ServiceSettings) -> AsyncIterator[str]:
    server = GrpcServer(settings, host="127.0.0.1", port=0)
    server.server.add_generic_rpc_handlers((handler(echo),))
    port = await server.start([])
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def assert_refused(address: str, settings: ServiceSettings) -> None:
    async with open_channel(address, channel_credentials(settings)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def assert_let_in(address: str, settings: ServiceSettings) -> None:
    async with open_channel(address, channel_credentials(settings)) as channel:
        assert await call(channel, b"over TLS") == b"over TLS"


def test_without_certificates_it_is_plain_text() -> None:
    assert server_credentials(ServiceSettings()) is None
    assert channel_credentials(ServiceSettings()) is None


async def test_a_client_that_trusts_the_authority_is_served(ours: Identity) -> None:
    async with serving(ours.settings()) as address:
        await assert_let_in(address, ours.settings(show=False))


async def test_a_client_of_another_authority_and_plain_text_are_not(ours: Identity, theirs: Identity) -> None:
    async with serving(ours.settings()) as address:
        await assert_refused(address, theirs.settings(show=False))
        await assert_refused(address, ServiceSettings())


async def test_mutual_tls_demands_a_certificate_of_the_authority(ours: Identity, theirs: Identity) -> None:
    stranger = Identity(theirs.certificate, theirs.key, ours.authority)
    async with serving(ours.settings(client_auth=True)) as address:
        await assert_let_in(address, ours.settings())
        await assert_refused(address, ours.settings(show=False))
        await assert_refused(address, stranger.settings())
