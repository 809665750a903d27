"""The gRPC example as a real server, its keys verified by a real auth service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from service_runtime.grpc_errors import error_info
from tests.support.examples import load_example
from tests.support.key_admin import ACTS_WITHIN_S, KeyAdmin
from tests.support.services import Gateway
from tests.support.waiting import eventually
from tidewire_client import KeyAdmin as Administration
from tidewire_client import VerificationRate

pytestmark = pytest.mark.integration


class Orders:
    """A client of the example."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._place = channel.unary_unary(
            "/shop.v1.Orders/Place",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=StringValue.FromString,
        )

    async def place(self, *metadata: tuple[str, str]) -> str:
        answer: StringValue = await self._place(StringValue(value="tea"), metadata=metadata, timeout=10)
        return answer.value

    async def outcome(self, api_key: str) -> str:
        """Return what was answered, or the reason of the refusal."""
        try:
            return await self.place(("authorization", f"Bearer {api_key}"))
        except grpc.aio.AioRpcError as refused:
            info = error_info(refused)
            return f"{refused.code().name} {info.reason if info is not None else refused.details()}"


@pytest.fixture
async def orders(shared_gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Orders]:
    monkeypatch.setenv("TIDEWIRE_AUTH_TARGET", shared_gateway.auth.address)
    monkeypatch.setenv("TIDEWIRE_SERVICE_TOKEN", shared_gateway.service_token)
    stop, bound = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(load_example("python/grpc_server.py").serve("127.0.0.1:0", stop, bound))
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{await bound}") as channel:
            yield Orders(channel)
    finally:
        stop.set()
        await serving


@pytest.fixture
def admin(shared_gateway: Gateway) -> KeyAdmin:
    return shared_gateway.key_admin()


async def test_the_holder_of_a_key_is_known(orders: Orders, admin: KeyAdmin) -> None:
    key = admin.create(["publish:orders"])
    assert await orders.outcome(key.api_key) == "tea for tests"
    assert await orders.place(("x-api-key", key.api_key)) == "tea for tests"


async def test_who_is_not_let_in_is_told_why(orders: Orders, admin: KeyAdmin) -> None:
    assert await orders.outcome("nothing") == "UNAUTHENTICATED NOT_FOUND"
    assert await orders.outcome("") == "UNAUTHENTICATED NO_KEY"
    other = admin.create(["join:orders"])
    assert await orders.outcome(other.api_key) == "PERMISSION_DENIED INSUFFICIENT_PERMISSIONS"


async def test_a_disabled_key_is_refused_at_once(orders: Orders, admin: KeyAdmin) -> None:
    key = admin.create(["publish:orders"])
    assert await orders.outcome(key.api_key) == "tea for tests"
    await asyncio.to_thread(admin.disable, key)

    async def refused() -> bool:
        return await orders.outcome(key.api_key) == "UNAUTHENTICATED DISABLED"

    await eventually(refused, ACTS_WITHIN_S, "the change acts")


async def test_a_key_with_a_rate_is_charged_call_by_call(orders: Orders, shared_gateway: Gateway) -> None:
    async with Administration(shared_gateway.auth.address, token=shared_gateway.service_token) as admin:
        rate = VerificationRate(3, timedelta(days=1))
        made = await admin.create("tests", ["publish:orders"], verification_rate=rate)
    shared_gateway.canaries.add(made.api_key)
    outcomes = await asyncio.gather(*(orders.outcome(made.api_key) for _ in range(10)))
    assert outcomes.count("tea for tests") == 3
    assert outcomes.count("RESOURCE_EXHAUSTED RATE_LIMITED") == 7
