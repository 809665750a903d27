"""Two session services on one Redis, an edge on each: what is said at one is heard at both, also after a crash of Redis."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.ledger import Publisher, Subscriber, history
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import new_name
from tests.support.redis_server import RedisServer
from tests.support.services import Gateway
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

KEY = "valid-test-key"
MESSAGES = 400


@pytest.mark.timeout(90)
async def test_redis_is_killed_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    redis = RedisServer(tmp_path / "redis")
    redis.start()
    monkeypatch.setenv("TIDEWIRE_SESSION_ENGINE_URL", redis.url)
    gateway = Gateway(tmp_path, edge={"frames-per-second": 0, "bytes-per-second": 0})
    async with gateway:
        second = another_session(gateway)
        try:
            await asyncio.to_thread(second.start)
            there = await asyncio.to_thread(gateway.another_edge, "there", session_target=second.address)
            await run(gateway, there, redis)
        finally:
            second.stop()
        redis.stop()


def another_session(gateway: Gateway) -> ServiceProcess:
    """Return one more session service on the same Redis."""
    flags = {"data-dir": gateway.directory / "data", "auth-target": gateway.auth.address}
    variables = {"TIDEWIRE_MODE": "development", "TIDEWIRE_SERVICE_TOKEN": gateway.service_token}
    return ServiceProcess("session_service", gateway.directory, flags, variables, "session_service-second")


async def run(gateway: Gateway, there: ServiceProcess, redis: RedisServer) -> None:
    """Publish at both edges, subscribe at both, and kill Redis on the way."""
    workspace, channel = new_name("w"), "chat"
    edges = [f"ws://{gateway.edge.address}", f"ws://{there.address}"]
    subscribers = [Subscriber(edge, f"hears-{n}", KEY, workspace, channel) for n, edge in enumerate(edges)]
    await asyncio.gather(*(subscriber.joined.wait() for subscriber in subscribers))
    publishers = [Publisher(edge, f"says-{n}", KEY, workspace, channel, MESSAGES) for n, edge in enumerate(edges)]
    publishing = [asyncio.create_task(publisher.run()) for publisher in publishers]

    async def half() -> bool:
        return sum(len(publisher.confirmed) for publisher in publishers) >= MESSAGES // 2

    await eventually(half, 30, "some are confirmed")
    await asyncio.to_thread(redis.restart)
    await asyncio.gather(*publishing)
    kept = await history(edges[0], new_name("reads"), KEY, workspace, channel)
    assert [place.offset for place, _ in kept] == list(range(1, 2 * MESSAGES + 1))
    where = {message: place for place, message in kept}
    for publisher in publishers:
        assert all(where[message] == place for message, place in publisher.confirmed.items())
    for subscriber in subscribers:

        async def heard_all(subscriber: Subscriber = subscriber) -> bool:
            return len(subscriber.heard) >= len(kept)

        await eventually(heard_all, what="everything is heard")
        assert subscriber.heard == kept
    await asyncio.gather(*(subscriber.stop() for subscriber in subscribers))
