"""A channel that follows its files: new calls show the new certificate, streams stay, nothing is left open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from service_runtime.reloading_channel import ReloadingChannel
from service_runtime.tls_files import TlsContent, TlsFiles
from tests.support.authority import Authority, Identity, put
from tests.support.waiting import eventually

DEADLINE_S = 30.0


async def unary(request: bytes, context: Any) -> bytes:
    return context.auth_context()["x509_common_name"][0]


async def answers(request: bytes, context: Any) -> AsyncIterator[bytes]:
    yield await unary(request, context)


async def collect(requests: AsyncIterator[bytes], context: Any) -> bytes:
    async for _ in requests:
        pass
    return await unary(b"", context)


async def each(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    async for _ in requests:
        yield await unary(b"", context)


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Answers": grpc.unary_stream_rpc_method_handler(answers),
    "Collect": grpc.stream_unary_rpc_method_handler(collect),
    "Each": grpc.stream_stream_rpc_method_handler(each),
}


class Files:
    """A client's files, whose certificate can be replaced by one with another name."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        self._authority = authority
        self._folder = folder
        made = authority.identity(folder, "first")
        self.identity = Identity(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
        put(self.identity.ca, authority.pem)
        self.show(made)

    def replace(self, name: str) -> None:
        self.show(self._authority.identity(self._folder, name))

    def show(self, made: Identity) -> None:
        put(self.identity.cert, made.cert.read_bytes())
        put(self.identity.key, made.key.read_bytes())

    @property
    def tls(self) -> TlsFiles:
        return self.identity.files()


class Opened(list[grpc.aio.Channel]):
    """All plain channels that were opened."""

    def closed(self) -> list[bool]:
        return [channel._channel.closed() for channel in self]  # type: ignore[attr-defined]


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> Files:
    return Files(authority, tmp_path / "client")


@pytest.fixture
async def address(tmp_path: Path, authority: Authority) -> AsyncIterator[str]:
    content = authority.identity(tmp_path / "server").files().read()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tests.Names", METHODS),))
    shown = grpc.ssl_server_credentials([(content.key, content.cert)], content.ca, require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", shown)
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@asynccontextmanager
async def opened(address: str, files: Files, every: Opened | None = None) -> AsyncIterator[ReloadingChannel]:
    def open_with(content: TlsContent) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(content.ca, content.key, content.cert)
        options = [("grpc.use_local_subchannel_pool", 1)]
        channel = grpc.aio.secure_channel(address, credentials, options=options)
        if every is not None:
            every.append(channel)
        return channel

    async with ReloadingChannel(files.tls, open_with, check_interval_s=0.0) as channel:
        yield channel


async def name_shown(channel: ReloadingChannel) -> bytes:
    return await channel.unary_unary("/tests.Names/Unary")(b"", timeout=DEADLINE_S)


async def test_calls_of_all_kinds_show_the_present_certificate(address: str, files: Files) -> None:
    async with opened(address, files) as channel:
        one = channel.unary_unary("/tests.Names/Unary")
        many = channel.unary_stream("/tests.Names/Answers")
        collecting = channel.stream_unary("/tests.Names/Collect")
        both = channel.stream_stream("/tests.Names/Each")
        for name in ("first", "second"):
            files.replace(name)
            shown = f"{name} of the tests".encode()
            assert await one(b"", timeout=DEADLINE_S) == shown
            assert await many(b"", timeout=DEADLINE_S).read() == shown
            assert await collecting(iter([b""]), timeout=DEADLINE_S) == shown
            assert [answer async for answer in both(iter([b""]), timeout=DEADLINE_S)] == [shown]


async def test_a_stream_stays_and_its_channel_closes_with_it(address: str, files: Files) -> None:
    every = Opened()
    async with opened(address, files, every) as channel:
        stream = channel.stream_stream("/tests.Names/Each")(timeout=DEADLINE_S)
        await stream.write(b"")
        assert await stream.read() == b"first of the tests"
        files.replace("second")
        assert await name_shown(channel) == b"second of the tests"
        await stream.write(b"")
        assert await stream.read() == b"first of the tests"
        assert every.closed() == [False, False]
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF

        async def closed() -> bool:
            return every.closed() == [True, False]

        await eventually(closed)
    assert every.closed() == [True, True]


async def test_a_channel_without_calls_closes_as_soon_as_it_is_replaced(address: str, files: Files) -> None:
    every = Opened()
    async with opened(address, files, every) as channel:
        for name in ("first", "second", "third"):
            files.replace(name)
            assert await name_shown(channel) == f"{name} of the tests".encode()

        async def closed() -> bool:
            return every.closed() == [True, True, True, False]

        await eventually(closed)


async def test_closing_ends_streams_on_replaced_channels_too(address: str, files: Files) -> None:
    every = Opened()
    async with opened(address, files, every) as channel:
        stream = channel.stream_stream("/tests.Names/Each")(timeout=DEADLINE_S)
        await stream.write(b"")
        await stream.read()
        files.replace("second")
        await name_shown(channel)
    assert every.closed() == [True, True]
    with pytest.raises(asyncio.CancelledError):
        await stream.read()
    await channel.close()


async def test_broken_files_change_nothing(address: str, files: Files) -> None:
    every = Opened()
    async with opened(address, files, every) as channel:
        files.identity.cert.write_bytes(b"")
        assert await name_shown(channel) == b"first of the tests"
    assert len(every) == 1


async def test_waiting_for_a_connection_takes_files_that_come_meanwhile(
    address: str, tmp_path: Path, authority: Authority
) -> None:
    files = Files(authority, tmp_path / "late")
    files.identity.ca.write_bytes(Authority().pem)
    options = [("grpc.use_local_subchannel_pool", 1)]

    def open_with(content: TlsContent) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(
            address, grpc.ssl_channel_credentials(content.ca, content.key, content.cert), options=options
        )

    async with ReloadingChannel(files.tls, open_with, check_interval_s=0.02) as channel, asyncio.timeout(DEADLINE_S):
        waiting = asyncio.create_task(channel.channel_ready())
        while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            await channel.wait_for_state_change(state)
        assert not waiting.done()
        put(files.identity.ca, authority.pem)
        await waiting
        assert await name_shown(channel) == b"first of the tests"
