"""The gRPC server of a service: health, reflection, ports, its end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from service_runtime.grpc_channel import open_channel
from service_runtime.grpc_server import GrpcServer
from service_runtime.listening import PortTakenError
from service_runtime.settings import ServiceSettings
from tests.support.waiting import eventually
from tests.unit.service_runtime.rpc import DEADLINE_S, call, echo, handler

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
async def server() -> AsyncIterator[GrpcServer]:
    made = GrpcServer(ServiceSettings(), host="127.0.0.1", port=0)
    made.server.add_generic_rpc_handlers((handler(echo),))
    yield made
    await made.stop(0)


async def health(channel: grpc.aio.Channel, service: str = "") -> Any:
    request = health_pb2.HealthCheckRequest(service=service)
    return (await health_pb2_grpc.HealthStub(channel).Check(request, timeout=DEADLINE_S)).status


async def test_it_serves_and_says_so(server: GrpcServer) -> None:
    port = await server.start(["tests.Echo"])
    async with open_channel(f"127.0.0.1:{port}") as channel:
        assert await call(channel, b"hello") == b"hello"
        assert [await health(channel), await health(channel, "tests.Echo")] == [SERVING, SERVING]
        await server.set_serving(False)
        assert [await health(channel), await health(channel, "tests.Echo")] == [NOT_SERVING, NOT_SERVING]
        await server.set_serving(True)
        assert await health(channel) == SERVING


async def test_reflection_lists_the_services(server: GrpcServer) -> None:
    port = await server.start(["tests.Echo"])
    async with open_channel(f"127.0.0.1:{port}") as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        stream = stub.ServerReflectionInfo(timeout=DEADLINE_S)
        await stream.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        answer = await stream.read()
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
    names = {service.name for service in answer.list_services_response.service}
    assert names == {"tests.Echo", "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = GrpcServer(ServiceSettings(), host="127.0.0.1", port=port)
        with pytest.raises(PortTakenError) as caught:
            await server.start([])
        await server.stop(0)
    assert (caught.value.host, caught.value.port) == ("127.0.0.1", port)
    assert f"127.0.0.1:{port}" in str(caught.value)


async def test_an_address_of_ip_version_6() -> None:
    server = GrpcServer(ServiceSettings(), host="::1", port=0)
    try:
        port = await server.start([])
    except PortTakenError:
        pytest.skip("this machine has no ::1")
    finally:
        await server.stop(0)
    assert port > 0


async def test_at_the_end_running_calls_may_finish_and_new_ones_are_refused() -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow_once(request: bytes, context: Any) -> bytes:
        if not entered.is_set():
            entered.set()
            await leave.wait()
        return request

    server = GrpcServer(ServiceSettings(), host="127.0.0.1", port=0)
    server.server.add_generic_rpc_handlers((handler(slow_once),))
    port = await server.start(["tests.Echo"])
    async with open_channel(f"127.0.0.1:{port}") as channel, open_channel(f"127.0.0.1:{port}") as other:
        running = asyncio.ensure_future(call(channel))
        await asyncio.wait_for(entered.wait(), DEADLINE_S)
        stopping = asyncio.ensure_future(server.stop(DEADLINE_S))

        async def refused() -> bool:
            try:
                await call(other)
            except grpc.aio.AioRpcError as fault:
                return fault.code() is grpc.StatusCode.UNAVAILABLE
            return False

        await eventually(refused, what="new calls are refused")
        assert not running.done()
        leave.set()
        assert await running == b"hello"
        await stopping
