"""Channels to several servers, and the credential that calls carry."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_runtime.grpc_channel import bearer, bearer_token, open_channel
from service_runtime.grpc_server import GrpcServer
from service_runtime.settings import ServiceSettings
from tests.support.waiting import eventually
from tests.unit.service_runtime.names import naming
from tests.unit.service_runtime.rpc import DEADLINE_S


@pytest.mark.parametrize(
    ("metadata", "token"),
    [
        (None, None),
        ((), None),
        ((("authorization", "Bearer abc"),), "abc"),
        ((("Authorization", "bearer abc"),), "abc"),
        ((("AUTHORIZATION", "BEARER  abc "),), "abc"),
        ((("authorization", b"Bearer abc"),), "abc"),
        ((("authorization", b"Bearer \xff"),), "\ufffd"),
        ((("x-other", "1"), ("authorization", "Bearer abc")), "abc"),
        ((("authorization", "Bearer"),), None),
        ((("authorization", "Bearer "),), None),
        ((("authorization", "Basic abc"),), None),
        ((("authorization", "abc"),), None),
        ((("authorization", ""),), None),
        ((("x-api-key", "abc"),), None),
        ((("authorization", "Basic abc"), ("authorization", "Bearer abc")), None),
    ],
)
def test_the_token_of_a_call(metadata: tuple[tuple[str, str | bytes], ...] | None, token: str | None) -> None:
    assert bearer_token(metadata) == token


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_what_is_sent_is_what_is_found(token: str) -> None:
    assert bearer_token(bearer(token)) == token


class Named:
    """A server that answers with its name, and says over and over which word it was given."""

    def __init__(self, name: bytes, port: int = 0, host: str = "127.0.0.1") -> None:
        self.runtime = GrpcServer(ServiceSettings(), host=host, port=port)
        self._name = name
        self._port = port
        methods = {
            "Who": grpc.unary_unary_rpc_method_handler(self._who),
            "Talk": grpc.stream_stream_rpc_method_handler(self._talk),
        }
        self.runtime.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tests.Named", methods),))

    async def _who(self, request: bytes, context: Any) -> bytes:
        return self._name

    async def _talk(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for word in requests:
            yield self._name + b" " + word

    async def start(self) -> str:
        self._port = await self.runtime.start([])
        return f"127.0.0.1:{self._port}"

    async def stop(self) -> None:
        await self.runtime.stop(0)


@asynccontextmanager
async def two() -> AsyncIterator[tuple[Named, Named, str]]:
    """Two servers and a target that names both."""
    first, second = Named(b"first"), Named(b"second")
    target = f"ipv4:{await first.start()},{await second.start()}"
    try:
        yield first, second, target
    finally:
        await first.stop()
        await second.stop()


async def who(channel: grpc.aio.Channel) -> str:
    """Return who answers a call; the name of the status when nobody does."""
    try:
        return bytes(await channel.unary_unary("/tests.Named/Who")(b"", timeout=DEADLINE_S)).decode()
    except grpc.aio.AioRpcError as fault:
        return fault.code().name


async def answering(channel: grpc.aio.Channel, *names: str) -> None:
    """Return when these answer in turn, and nobody else."""

    async def found() -> bool:
        return sorted([await who(channel) for _ in range(2 * len(names))]) == sorted(2 * names)

    await eventually(found, DEADLINE_S, f"{names} answer in turn")


@pytest.mark.parametrize("only_serving", [False, True])
async def test_calls_go_to_all_servers_in_turn_and_outlive_one(only_serving: bool) -> None:
    async with two() as (first, _, target), open_channel(target, only_serving=only_serving) as channel:
        await answering(channel, "first", "second")
        await first.stop()
        await answering(channel, "second")
        again = Named(b"first", first._port)
        await again.start()
        await answering(channel, "first", "second")
        await again.stop()


async def test_a_name_with_several_addresses_is_balanced_as_well_and_outlives_one() -> None:
    first = Named(b"first")
    port = int((await first.start()).rpartition(":")[2])
    second = Named(b"second", port, host="127.0.0.2")
    await second.start()
    async with naming("127.0.0.1", "127.0.0.2") as names, open_channel(f"dns://{names}/auth.test:{port}") as channel:
        await answering(channel, "first", "second")
        await first.stop()
        await answering(channel, "second")
    await second.stop()


async def test_calls_begin_only_at_servers_that_serve() -> None:
    async with two() as (first, second, target), open_channel(target, only_serving=True) as channel:
        await answering(channel, "first", "second")
        await first.runtime.set_serving(False)
        await answering(channel, "second")
        await second.runtime.set_serving(False)
        await answering(channel, "UNAVAILABLE")
        await first.runtime.set_serving(True)
        await answering(channel, "first")


async def test_a_stream_goes_on_at_a_server_that_does_not_serve() -> None:
    server = Named(b"only")
    async with open_channel(await server.start(), only_serving=True) as channel:
        stream = channel.stream_stream("/tests.Named/Talk")(timeout=DEADLINE_S)
        await stream.write(b"before")
        assert await stream.read() == b"only before"
        await server.runtime.set_serving(False)
        await answering(channel, "UNAVAILABLE")
        await stream.write(b"after")
        assert await stream.read() == b"only after"
        stream.cancel()
    await server.stop()


async def test_without_the_wish_a_server_is_asked_whatever_it_says() -> None:
    async with two() as (first, second, target), open_channel(target) as channel:
        await first.runtime.set_serving(False)
        await second.runtime.set_serving(False)
        await answering(channel, "first", "second")


async def test_health_checks_do_not_keep_a_server_from_stopping() -> None:
    server = Named(b"only")
    async with open_channel(await server.start(), only_serving=True) as channel:
        await answering(channel, "only")
        async with asyncio.timeout(DEADLINE_S):
            await server.runtime.stop(10 * DEADLINE_S)
        await answering(channel, "UNAVAILABLE")
