"""Calls of a server are counted by how they end, and timed by method."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from service_runtime.grpc_channel import open_channel
from service_runtime.grpc_errors import abort
from service_runtime.grpc_server import GrpcServer
from service_runtime.rpc_metrics import RpcMetrics
from service_runtime.settings import ServiceSettings
from tests.support.waiting import eventually
from tests.unit.service_runtime.rpc import DEADLINE_S

PATH = "/tests.v1.Demo"


class Demo:
    """Methods of all kinds, and what is counted of them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = RpcMetrics("demo", self.registry)
        self.waiting = asyncio.Event()

    def handler(self) -> grpc.GenericRpcHandler:
        methods = {
            "Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
            "Repeat": grpc.stream_stream_rpc_method_handler(self.repeat),
        }
        return grpc.method_handlers_generic_handler("tests.v1.Demo", methods)

    async def echo(self, request: bytes, context: Any) -> bytes:
        if request == b"abort":
            await abort(context, grpc.StatusCode.NOT_FOUND, "NOTHING", "tests", "nothing here")
        if request == b"defect":
            raise ValueError
        if request == b"code":
            context.set_code(grpc.StatusCode.OUT_OF_RANGE)
        if request == b"number":
            context.set_code(11)
        if request == b"wait":
            self.waiting.set()
            await asyncio.Event().wait()
        return request

    async def count(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d" % number
        if request == b"abort":
            await abort(context, grpc.StatusCode.UNAVAILABLE, "AWAY", "tests", "away")
        if request == b"wait":
            await asyncio.Event().wait()

    async def repeat(self, requests: AsyncIterator[bytes], context: Any) -> None:
        async for request in requests:
            await context.write(request)

    def ended(self, method: str, code: str) -> float:
        return self.registry.get_sample_value("demo_rpcs_total", {"method": method, "code": code}) or 0

    def timed(self, method: str) -> float:
        return self.registry.get_sample_value("demo_rpc_seconds_count", {"method": method}) or 0

    async def has_ended(self, method: str, code: str, count: int = 1) -> None:
        async def seen() -> bool:
            return self.ended(method, code) == count

        await eventually(seen, what=f"{method} ends with {code}")


@pytest.fixture
def demo() -> Demo:
    return Demo()


@asynccontextmanager
async def serving(demo: Demo) -> AsyncIterator[grpc.aio.Channel]:
    server = GrpcServer(ServiceSettings(), host="127.0.0.1", port=0, interceptors=(demo.metrics,))
    server.server.add_generic_rpc_handlers((demo.handler(),))
    port = await server.start([])
    async with open_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(0)


@pytest.mark.parametrize(
    ("request_text", "code"),
    [
        (b"abort", grpc.StatusCode.NOT_FOUND),
        (b"defect", grpc.StatusCode.UNKNOWN),
        (b"code", grpc.StatusCode.OUT_OF_RANGE),
        (b"number", grpc.StatusCode.OUT_OF_RANGE),
    ],
)
async def test_calls_count_by_their_status(demo: Demo, request_text: bytes, code: grpc.StatusCode) -> None:
    async with serving(demo) as channel:
        call = channel.unary_unary(f"{PATH}/Echo")
        assert await call(b"well", timeout=DEADLINE_S) == b"well"
        with pytest.raises(grpc.aio.AioRpcError) as fault:
            await call(request_text, timeout=DEADLINE_S)
    assert fault.value.code() is code
    assert (demo.ended("Demo/Echo", "OK"), demo.ended("Demo/Echo", code.name)) == (1, 1)
    assert demo.timed("Demo/Echo") == 2


async def test_who_goes_away_has_cancelled(demo: Demo) -> None:
    async with serving(demo) as channel:
        call = channel.unary_unary(f"{PATH}/Echo")(b"wait")
        async with asyncio.timeout(DEADLINE_S):
            waiting = asyncio.ensure_future(call)
            await demo.waiting.wait()
        call.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await demo.has_ended("Demo/Echo", "CANCELLED")


async def test_streams_count_when_they_end_and_have_no_times(demo: Demo) -> None:
    async with serving(demo) as channel:
        call = channel.unary_stream(f"{PATH}/Count")
        assert [response async for response in call(b"", timeout=DEADLINE_S)] == [b"0", b"1", b"2"]
        with pytest.raises(grpc.aio.AioRpcError):
            [response async for response in call(b"abort", timeout=DEADLINE_S)]
        endless = call(b"wait", timeout=DEADLINE_S)
        assert await endless.read() == b"0"
        endless.cancel()
        await demo.has_ended("Demo/Count", "CANCELLED")
        both = channel.stream_stream(f"{PATH}/Repeat")(timeout=DEADLINE_S)
        await both.write(b"again")
        assert await both.read() == b"again"
        assert demo.ended("Demo/Repeat", "OK") == 0
        await both.done_writing()
        assert await both.read() is grpc.aio.EOF
        await demo.has_ended("Demo/Repeat", "OK")
    assert (demo.ended("Demo/Count", "OK"), demo.ended("Demo/Count", "UNAVAILABLE")) == (1, 1)
    assert (demo.timed("Demo/Count"), demo.timed("Demo/Repeat")) == (0, 0)


async def test_methods_that_are_not_there_share_a_label(demo: Demo) -> None:
    async with serving(demo) as channel:
        for name in ("One", "Two"):
            with pytest.raises(grpc.aio.AioRpcError) as fault:
                await channel.unary_unary(f"{PATH}/{name}")(b"", timeout=DEADLINE_S)
            assert fault.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert demo.ended("unknown", "UNIMPLEMENTED") == 2
