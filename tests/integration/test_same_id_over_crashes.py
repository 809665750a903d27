"""One id, published until it is confirmed, while processes crash at every moment on its way: it is stored once."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain, repeat

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.support.http_client import http
from tests.support.ledger import RECONNECT_S, TRY_AGAIN, Place, connected, history
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import new_name
from tests.support.redis_server import RedisServer
from tests.support.services import ManyServices
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

KEY, CLIENT, CHANNEL = "valid-test-key", "repeats", "room"
ATTEMPTS = 10
# Longer than a slow machine needs; a message that cannot come costs so much each time.
COMES_WITHIN_S = 5.0
VICTIMS = [("edge",), ("session",), ("redis",), ("edge", "session"), ("session", "redis"), ("edge", "session", "redis")]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def proxy(redis: RedisServer) -> Iterator[TcpProxy]:
    """Between the services and Redis."""
    with TcpProxy([redis.place]) as made:
        yield made


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, proxy: TcpProxy) -> Iterator[ManyServices]:
    made = ManyServices(tmp_path_factory.mktemp("services"), f"redis://{proxy.addresses()[0]}")
    with made:
        yield made


class Crash:
    """What stops the message at one place on its way, and then kills processes."""

    def __init__(self, services: ManyServices, redis: RedisServer, proxy: TcpProxy, workspace: str) -> None:
        self._services = services
        self._redis = redis
        self._proxy = proxy
        self.workspace = workspace
        self._log = f"tidewire:session:{{tests/{workspace}/{CHANNEL}}}:log"

    def victims(self, names: Sequence[str]) -> list[ServiceProcess | RedisServer]:
        found: dict[str, Sequence[ServiceProcess | RedisServer]] = {
            "edge": self._services.edges[:1],
            "session": self._services.sessions,
            "redis": [self._redis],
        }
        return [process for name in names for process in found[name]]

    async def stop_the_way(self, place: str) -> None:
        """Have the message get no further than to a place."""
        if place == "edge":
            for session in self._services.sessions:
                session.freeze()
        elif place == "session":
            self._redis.freeze()
        else:
            await asyncio.to_thread(self._proxy.swallow_downstream)

    async def is_there(self, place: str) -> bool:
        """Return whether the message has come to the place."""
        if place == "store":
            return bool(await asyncio.to_thread(self._redis.command, "XLEN", self._log))
        metrics = await asyncio.to_thread(http, "GET", f"http://{self._services.edges[0].address}/metrics")
        found = re.search(rb"^tidewire_edge_pending_commands (\S+)$", metrics.body, re.MULTILINE)
        return found is not None and float(found[1]) > 0

    async def kill_and_heal(self, place: str, names: Sequence[str]) -> None:
        """Kill, clear the way, and start again what was killed."""
        victims = self.victims(names)
        for victim in victims:
            victim.kill9()
        await self.clear_the_way(place)
        for victim in reversed(victims):
            await asyncio.to_thread(victim.start)

    async def clear_the_way(self, place: str) -> None:
        """Let the message go on."""
        if place == "edge":
            for session in self._services.sessions:
                if session.running:
                    session.thaw()
        elif place == "session" and self._redis.running:
            self._redis.thaw()
        await asyncio.to_thread(self._proxy.restore)


class Gate:
    """Where a member waits before it publishes."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()


async def published(urls: Sequence[str], workspace: str, message_id: str, gate: Gate) -> Place:
    """Publish one message until it is confirmed, at the first edge and then at the others; return where it is."""
    for url in chain(urls, repeat(urls[-1])):
        try:
            async with connected(url, CLIENT, KEY, workspace, CHANNEL) as socket:
                return await _published(socket, message_id, gate)
        except (ConnectionClosed, OSError, InvalidHandshake, TimeoutError):
            await asyncio.sleep(RECONNECT_S)  # as any client: not at once
    raise AssertionError("there is no end of edges")


async def _published(socket: ClientConnection, message_id: str, gate: Gate) -> Place:
    text = json.dumps({"type": "chat_message", "id": message_id, "channel": CHANNEL, "data": {"content": "once"}})
    gate.reached.set()
    await gate.opened.wait()
    await socket.send(text)
    async for answer in socket:
        frame = json.loads(answer)
        if frame.get("id") != message_id:
            continue
        if frame["type"] == "message_delivered":
            return Place(frame["data"]["epoch"], frame["data"]["offset"])
        if frame["type"] == "error":
            assert frame["data"]["error_type"] in TRY_AGAIN, frame
            await socket.send(text)
    raise ConnectionClosed(None, None)


async def on_its_way(
    services: ManyServices, redis: RedisServer, proxy: TcpProxy, place: str
) -> tuple[Crash, asyncio.Task[Place], Gate, str]:
    """Publish a message that comes no further than to a place."""
    for _ in range(ATTEMPTS):
        crash, gate, message_id = Crash(services, redis, proxy, new_name("w")), Gate(), new_name("m")
        publishing = asyncio.create_task(published(urls_of(services), crash.workspace, message_id, gate))
        await gate.reached.wait()
        await crash.stop_the_way(place)
        gate.opened.set()
        try:
            await eventually(lambda crash=crash: crash.is_there(place), COMES_WITHIN_S)  # type: ignore[misc]
        except AssertionError:  # something else waited for an answer that was swallowed, and the message behind it
            await crash.clear_the_way(place)
            await publishing
        else:
            assert not publishing.done()
            return crash, publishing, gate, message_id
    raise AssertionError(f"the message does not come to the {place}")


def urls_of(services: ManyServices) -> list[str]:
    return [f"ws://{edge.address}" for edge in services.edges]


@pytest.mark.parametrize("names", VICTIMS, ids="-".join)
@pytest.mark.parametrize("place", ["edge", "session", "store"])
async def test_it_is_stored_once(
    services: ManyServices, redis: RedisServer, proxy: TcpProxy, place: str, names: tuple[str, ...]
) -> None:
    """It has come as far as to the edge, to the session service, or into the store whose answer never arrives."""
    urls = urls_of(services)
    for edge in services.edges:
        await asyncio.to_thread(services.wait_ready, edge)
    crash, publishing, gate, message_id = await on_its_way(services, redis, proxy, place)
    await crash.kill_and_heal(place, names)
    async with asyncio.timeout(60):
        where = await publishing
    assert await published([urls[1]], crash.workspace, message_id, gate) == where
    assert await history(urls[1], new_name("reads"), KEY, crash.workspace, CHANNEL) == [(where, message_id)]
