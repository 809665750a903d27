"""HTTPS on a real socket: who is let in, before and after the files are replaced."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service_runtime.settings import ServiceSettings, make_settings
from service_runtime.tls_files import TlsFiles, TlsFilesError
from service_runtime.tls_http import reloading_context, server_ssl_context
from tests.support.authority import Authority, Identity, put

DEADLINE_S = 10.0


@pytest.fixture
def ours() -> Authority:
    return Authority()


@pytest.fixture
def theirs() -> Authority:
    return Authority()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        writer.write(await reader.readline())
        await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def serving(context: ssl.SSLContext) -> AsyncIterator[int]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def showing(identity: Identity, *, show: bool = True) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(identity.ca))
    if show:
        context.load_cert_chain(identity.cert, identity.key)
    return context


async def answer(port: int, context: ssl.SSLContext, host: str | None = None) -> bytes:
    """Say something, and return what comes back."""
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=host or "127.0.0.1"
        )
        try:
            writer.write(b"hello\n")
            return await reader.readline()
        finally:
            writer.close()


async def assert_refused(port: int, context: ssl.SSLContext) -> None:
    try:
        assert await answer(port, context) == b""
    except OSError:
        pass


def mutual(identity: Identity) -> ssl.SSLContext:
    given = {"tls_ca_file": identity.ca, "tls_cert_file": identity.cert, "tls_key_file": identity.key}
    context = server_ssl_context(make_settings(ServiceSettings, given | {"tls_client_auth": True}))
    assert context is not None
    return context


def test_without_a_certificate_it_is_plain_text() -> None:
    assert server_ssl_context(ServiceSettings()) is None


def test_broken_files_are_named(tmp_path: Path, ours: Authority) -> None:
    identity = ours.identity(tmp_path)
    identity.key.unlink()
    with pytest.raises(TlsFilesError, match=str(identity.key)):
        mutual(identity)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_the_certificate_of_the_moment_is_shown(
    tmp_path: Path, ours: Authority, theirs: Authority, host: str
) -> None:
    identity = ours.identity(tmp_path / "server")
    before, after = ours.identity(tmp_path / "before"), theirs.identity(tmp_path / "after")
    async with serving(reloading_context(TlsFiles(cert=identity.cert, key=identity.key))) as port:
        assert await answer(port, showing(before, show=False), host) == b"hello\n"
        theirs.identity(tmp_path / "server")
        assert await answer(port, showing(after, show=False), host) == b"hello\n"
        with pytest.raises(ssl.SSLCertVerificationError):
            await answer(port, showing(before, show=False), host)
        put(identity.cert, b"")
        assert await answer(port, showing(after, show=False), host) == b"hello\n"


async def test_clients_must_be_of_the_authority_of_the_moment(
    tmp_path: Path, ours: Authority, theirs: Authority
) -> None:
    server = ours.identity(tmp_path / "server")
    client = ours.identity(tmp_path / "client")
    stranger = theirs.identity(tmp_path / "stranger", trusts=ours.pem)
    async with serving(mutual(server)) as port:
        assert await answer(port, showing(client)) == b"hello\n"
        await assert_refused(port, showing(client, show=False))
        await assert_refused(port, showing(stranger))
        put(server.ca, theirs.pem)
        await assert_refused(port, showing(client))
        assert await answer(port, showing(stranger)) == b"hello\n"
