"""TLS and mutual TLS on real sockets, with certificates that are replaced while the server runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from service_runtime.grpc_channel import ClientTls, open_channel
from service_runtime.grpc_server import GrpcServer
from service_runtime.settings import ServiceSettings, make_settings
from service_runtime.tls import client_tls, server_credentials
from service_runtime.tls_files import TlsFiles, TlsFilesError
from tests.support.authority import Authority, Identity
from tests.unit.service_runtime.rpc import call, echo, handler


@pytest.fixture(scope="module")
def ours() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def theirs() -> Authority:
    return Authority()


def settings_of(identity: Identity, *, client_auth: bool = True) -> ServiceSettings:
    given = {"tls_ca_file": identity.ca, "tls_cert_file": identity.cert, "tls_key_file": identity.key}
    return make_settings(ServiceSettings, given | {"tls_client_auth": client_auth})


@asynccontextmanager
async def serving(identity: Identity, *, client_auth: bool = True) -> AsyncIterator[str]:
    server = GrpcServer(settings_of(identity, client_auth=client_auth), host="127.0.0.1", port=0)
    server.server.add_generic_rpc_handlers((handler(echo),))
    port = await server.start([])
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def assert_refused(address: str, tls: ClientTls | None) -> None:
    async with open_channel(address, tls) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def assert_let_in(address: str, tls: ClientTls) -> None:
    async with open_channel(address, tls) as channel:
        assert await call(channel, b"over TLS") == b"over TLS"


def test_without_certificates_it_is_plain_text() -> None:
    assert server_credentials(ServiceSettings()) is None
    assert client_tls(ServiceSettings()) is None


def test_a_client_shows_what_the_process_has(tmp_path: Path, ours: Authority) -> None:
    identity = ours.identity(tmp_path)
    assert client_tls(settings_of(identity)) == identity.files()


def test_files_that_cannot_be_used_are_named_at_the_start(tmp_path: Path, ours: Authority, theirs: Authority) -> None:
    mixed = Identity(ours.identity(tmp_path).ca, ours.identity(tmp_path).cert, theirs.identity(tmp_path / "theirs").key)
    with pytest.raises(TlsFilesError, match=f"{mixed.cert} and {mixed.key} are no"):
        server_credentials(settings_of(mixed))


async def test_a_client_that_trusts_the_authority_is_served(tmp_path: Path, ours: Authority) -> None:
    identity = ours.identity(tmp_path)
    async with serving(identity, client_auth=False) as address:
        await assert_let_in(address, identity.files(show=False))
        await assert_let_in(address, grpc.ssl_channel_credentials(ours.pem))


async def test_a_client_of_another_authority_and_plain_text_are_not(
    tmp_path: Path, ours: Authority, theirs: Authority
) -> None:
    async with serving(ours.identity(tmp_path), client_auth=False) as address:
        await assert_refused(address, theirs.identity(tmp_path / "theirs").files(show=False))
        await assert_refused(address, TlsFiles())
        await assert_refused(address, None)


async def test_a_server_that_shows_the_certificate_of_another_is_not_believed(tmp_path: Path, ours: Authority) -> None:
    async with serving(ours.identity(tmp_path, "elsewhere", here=False), client_auth=False) as address:
        await assert_refused(address, TlsFiles(ours.identity(tmp_path / "client").ca))


async def test_mutual_tls_demands_a_certificate_of_the_authority(
    tmp_path: Path, ours: Authority, theirs: Authority
) -> None:
    identity = ours.identity(tmp_path)
    async with serving(identity) as address:
        await assert_let_in(address, identity.files())
        await assert_refused(address, identity.files(show=False))
        await assert_refused(address, theirs.identity(tmp_path / "theirs", trusts=ours.pem).files())


async def test_a_server_shows_and_trusts_new_files_from_the_next_connection_on(
    tmp_path: Path, ours: Authority, theirs: Authority
) -> None:
    folder = tmp_path / "server"
    before = ours.identity(tmp_path / "before")
    after = theirs.identity(tmp_path / "after")
    async with serving(ours.identity(folder)) as address, open_channel(address, before.files()) as standing:
        assert await call(standing) == b"hello"
        await assert_refused(address, after.files())
        theirs.identity(folder)
        await assert_let_in(address, after.files())
        await assert_refused(address, before.files())
        assert await call(standing) == b"hello"


async def test_a_server_goes_on_with_its_files_when_they_break(tmp_path: Path, ours: Authority) -> None:
    identity = ours.identity(tmp_path / "server")
    client = ours.identity(tmp_path / "client").files()
    async with serving(identity) as address:
        identity.cert.write_bytes(identity.cert.read_bytes()[:100])
        await assert_let_in(address, client)
        identity.key.unlink()
        await assert_let_in(address, client)
