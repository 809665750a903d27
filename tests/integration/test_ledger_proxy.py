"""The TCP proxy that breaks connections: forwards, cuts in the middle of a chunk, and keeps open what nothing comes through."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.support.ports import free_port
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

LARGE = bytes(range(256)) * 4096
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """Sends back what it gets, and remembers how much that was."""

    def __init__(self) -> None:
        self.received = 0
        self.open = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while data := await reader.read(65536):
                self.received += len(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, str]]:
    handler = Echo()
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    yield handler, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.fixture
def proxy(echo: tuple[Echo, str]) -> Iterator[TcpProxy]:
    with TcpProxy([echo[1]], doors=4, rng=random.Random(1)) as proxy:
        yield proxy


@asynccontextmanager
async def connected(proxy: TcpProxy, door: int = 0) -> AsyncIterator[Streams]:
    host, port = proxy.addresses(door)[0].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def goes_round(streams: Streams, data: bytes) -> bool:
    streams[1].write(data)
    async with asyncio.timeout(10):
        return await streams[0].readexactly(len(data)) == data


async def is_reset(reader: asyncio.StreamReader) -> bytes:
    """Return what came before the reset; fail if the end was in order."""
    came = b""
    async with asyncio.timeout(10):
        try:
            while data := await reader.read(65536):
                came += data
        except ConnectionError:
            return came
    raise AssertionError("ended in order")


async def is_refused(proxy: TcpProxy, door: int = 0) -> None:
    """Fail unless a new connection is reset: at once, or at the first read."""
    try:
        async with connected(proxy, door) as (reader, _):
            assert await is_reset(reader) == b""
    except ConnectionError:
        return


async def test_forwards_both_ways_and_counts(proxy: TcpProxy) -> None:
    async with connected(proxy) as streams:
        assert await goes_round(streams, LARGE)
    assert proxy.counters.upstream_bytes == proxy.counters.downstream_bytes == len(LARGE)
    assert proxy.counters.accepted == 1


async def test_the_end_of_a_connection_is_forwarded(proxy: TcpProxy, echo: tuple[Echo, str]) -> None:
    async with connected(proxy) as streams:
        assert await goes_round(streams, b"hello")

    async def gone() -> bool:
        return echo[0].open == proxy.open_connections == 0

    await eventually(gone, what="the target sees the end")


async def test_a_target_that_is_away(unused_address: str) -> None:
    with TcpProxy([unused_address]) as proxy:
        await is_refused(proxy)


async def test_cut_in_the_middle_of_a_chunk(proxy: TcpProxy) -> None:
    async with connected(proxy) as streams:
        assert await goes_round(streams, b"hello")
        assert proxy.cut() == [0, 1, 2, 3]
        streams[1].write(LARGE[:1000])
        came = await is_reset(streams[0])
        assert LARGE[:1000].startswith(came)
        assert len(came) < 1000
    assert proxy.counters.cut == 1
    assert proxy.counters.cut_in_mid_chunk == 1


async def test_a_silent_connection_is_cut_too(proxy: TcpProxy) -> None:
    async with connected(proxy) as streams:
        assert await goes_round(streams, b"hello")
        proxy.cut()
        assert await is_reset(streams[0]) == b""
    assert proxy.counters.cut_in_mid_chunk == 0


async def test_a_door_that_is_cut_refuses_until_it_is_restored(proxy: TcpProxy) -> None:
    (door,) = proxy.cut(0.25)
    await is_refused(proxy, door)
    assert proxy.counters.refused == 1
    async with connected(proxy, (door + 1) % 4) as streams:
        assert await goes_round(streams, b"other doors are open")
    proxy.restore()
    async with connected(proxy, door) as streams:
        assert await goes_round(streams, b"open again")


async def test_open_and_nothing_arrives(proxy: TcpProxy, echo: tuple[Echo, str]) -> None:
    async with connected(proxy) as streams:
        assert await goes_round(streams, b"hello")
        proxy.swallow_downstream()
        streams[1].write(b"there?")

        async def swallowed() -> bool:
            return proxy.counters.swallowed_bytes == len(b"there?")

        await eventually(swallowed, what="the target's answer is swallowed")
        assert echo[0].received == len(b"hellothere?"), "what the client sends arrives"
        assert proxy.open_connections == 1
        proxy.restore()
        assert await is_reset(streams[0]) == b"", "bytes are missing, so it cannot go on"


async def test_what_was_swallowed_from_nobody_goes_on(proxy: TcpProxy) -> None:
    async with connected(proxy) as streams:
        assert await goes_round(streams, b"hello")
        proxy.swallow_downstream()
        proxy.restore()
        assert await goes_round(streams, b"nothing is missing")


async def test_that_the_target_goes_is_swallowed_too() -> None:
    ended = asyncio.Event()

    async def answer_and_go(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(answer_and_go, "127.0.0.1", 0)
    with TcpProxy([f"127.0.0.1:{server.sockets[0].getsockname()[1]}"]) as proxy:
        async with connected(proxy) as (reader, writer):
            proxy.swallow_downstream()
            writer.write(b"hello")
            ended.set()

            async def swallowed() -> bool:
                return proxy.counters.swallowed_ends == 1

            await eventually(swallowed, what="the target is gone")
            assert proxy.open_connections == 1
            proxy.restore()
            await is_reset(reader)
    server.close()


@pytest.fixture
def unused_address() -> str:
    return f"127.0.0.1:{free_port()}"
