"""As many clients as an edge takes, and one more: by its setting, and by the files that it may have open."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable

import pytest

from tests.stress.process_watch import counted, is_ready
from tests.stress.raw_client import RawClient, ServerFrame
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import Clients, ProtocolClient, new_name
from tests.support.requirements import skip_without
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SETTING = 400
# Kept back of few files: `LEAST_RESERVE` of ws_edge/core/capacity.py.
OPEN_FILES, RESERVE = 300, 64
TOO_MANY = 30
DEADLINE_S = 60.0
Condition = Callable[[], Awaitable[bool]]


class Crowd:
    """Clients that are connected, and do nothing."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.clients: list[RawClient] = []
        self.goodbyes: list[ServerFrame] = []

    async def grow(self, count: int) -> None:
        """Add so many clients, at most 50 at a time."""
        for start in range(0, count, 50):
            added = [self._one() for _ in range(min(50, count - start))]
            self.clients += await asyncio.gather(*added)

    async def _one(self) -> RawClient:
        return await RawClient.open(self._address, new_name("crowd"), self._on_frame)

    def _on_frame(self, client: RawClient, frame: ServerFrame) -> None:
        if frame.type == "disconnect":
            self.goodbyes.append(frame)

    @property
    def inside(self) -> list[RawClient]:
        return [client for client in self.clients if not client.ended]

    def leave(self, count: int) -> None:
        """Let so many go without a word."""
        for client in self.inside[:count]:
            client.drop()


async def limit_is_kept(edge: ServiceProcess, clients: Clients, limit: int) -> None:
    """Fill an edge, and see what one more is told, and what others notice of it."""
    channel = new_name("room")
    one, two = await clients.member(channel), await clients.member(channel)
    crowd = Crowd(edge.address)
    try:
        await crowd.grow(limit - 2)
        assert len(crowd.inside) == limit - 2
        assert await counted(edge, "tidewire_edge_max_connections") == limit
        talking = asyncio.create_task(talk(one, two, channel))
        await crowd.grow(TOO_MANY)
        await eventually(told(crowd, TOO_MANY), DEADLINE_S, "each that was too many is told")
        for goodbye in crowd.goodbyes:
            assert (goodbye.data["code"], goodbye.data["reason"]) == (1013, "Edge is full")
            assert goodbye.data["reconnect"] is True
            assert 0 < goodbye.data["retry_after_ms"] <= 3000
        assert len({goodbye.data["retry_after_ms"] for goodbye in crowd.goodbyes}) > 1, "they come back spread out"
        await eventually(inside(crowd, limit - 2), DEADLINE_S, "those that were told are gone, and nobody else")
        assert [client.close_code for client in crowd.clients if client.ended] == [1013] * TOO_MANY
        assert await talking >= 1
        assert await counted(edge, "tidewire_edge_connections_refused_total") == TOO_MANY
        assert await is_ready(edge)
        crowd.leave(10)
        await eventually(room_again(crowd, limit - 2), DEADLINE_S, "there is room for as many as left")
        await one.assert_open()
        await two.assert_open()
    finally:
        crowd.leave(len(crowd.clients))
        await eventually(inside(crowd, 0), what="all are gone")


async def talk(one: ProtocolClient, two: ProtocolClient, channel: str) -> int:
    """Publish one message after the other for as long as the others are told; each comes to both members, in order."""
    count = 0
    for count in range(1, 51):
        await one.publish(channel, count)
        await one.take("chat_message", content=count)
        await two.take("chat_message", content=count)
    return count


def told(crowd: Crowd, count: int) -> Condition:
    async def condition() -> bool:
        return len(crowd.goodbyes) >= count

    return condition


def inside(crowd: Crowd, count: int) -> Condition:
    async def condition() -> bool:
        return len(crowd.inside) == count

    return condition


def room_again(crowd: Crowd, count: int) -> Condition:
    async def condition() -> bool:
        await crowd.grow(max(0, count - len(crowd.inside)))
        await asyncio.sleep(0)
        return len(crowd.inside) == count

    return condition


async def test_one_more_than_the_setting(gateway: Gateway, clients_of: Callable[..., Clients]) -> None:
    edge = await asyncio.to_thread(gateway.another_edge, "full", max_connections=SETTING, auth_timeout_s=600)
    await limit_is_kept(edge, clients_of(Target.of(gateway, edge)), SETTING)


async def test_one_more_than_there_are_open_files_for(gateway: Gateway, clients_of: Callable[..., Clients]) -> None:
    if shutil.which("prlimit") is None:
        skip_without("prlimit")
    launcher = ("prlimit", f"--nofile={OPEN_FILES}:{OPEN_FILES}")
    edge = await asyncio.to_thread(gateway.another_edge, "poor", launcher=launcher, auth_timeout_s=600)
    assert "the limit of open files is too low" in edge.log()
    await limit_is_kept(edge, clients_of(Target.of(gateway, edge)), OPEN_FILES - RESERVE)


@pytest.mark.parametrize("said", [b"", b"GET /client_half HTTP/1.1\r\nHost: half"], ids=["nothing", "half a request"])
async def test_connections_that_ask_for_nothing(
    gateway: Gateway, clients_of: Callable[..., Clients], said: bytes
) -> None:
    """They are closed after a while; WebSockets stay."""
    edge = await asyncio.to_thread(gateway.another_edge, f"idle-{len(said)}", http_idle_s=0.5)
    client = await clients_of(Target.of(gateway, edge)).connected()
    host, port = edge.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(said)
    async with asyncio.timeout(DEADLINE_S):
        assert await reader.read() == b""
    writer.close()
    await client.assert_open()
