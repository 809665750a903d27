"""10,000 confirmed messages while each service is killed with `kill -9` once: nothing confirmed is lost, doubled or moved."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.ledger import Place, Publisher, Subscriber, history
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import new_name
from tests.support.redis_server import RedisServer
from tests.support.services import Gateway
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow]

CLIENTS = 20
CHANNELS = 10
MESSAGES_A_KILL = 400
KEY = "valid-test-key"
NO_LIMITS = {"frames-per-second": 0, "bytes-per-second": 0, "session-deadline-s": 10}


def ws(edge: ServiceProcess) -> str:
    return f"ws://{edge.address}"


async def confirmed(publishers: list[Publisher], count: int) -> None:
    async def reached() -> bool:
        return sum(len(publisher.confirmed) for publisher in publishers) >= count

    await eventually(reached, 60, f"{count} messages are confirmed")


@pytest.mark.timeout(180)
async def test_every_service_killed_once(tmp_path: Path) -> None:
    await killing(Gateway(tmp_path, edge=NO_LIMITS))


@pytest.mark.timeout(180)
async def test_every_service_and_redis_killed_once(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis")
    redis.start()
    try:
        await killing(Gateway(tmp_path, edge=NO_LIMITS, redis=redis.url), redis)
    finally:
        redis.stop()


async def killing(gateway: Gateway, redis: RedisServer | None = None) -> None:
    """Start, run with every process killed once, and stop in order."""
    async with gateway:
        staying = await asyncio.to_thread(gateway.another_edge, "staying")
        # The edge first: while the others start again, publishers of a slow machine may come to their end.
        kills = [service.restart_after_kill9 for service in (gateway.edge, gateway.auth, gateway.session)]
        await run(gateway, staying, kills if redis is None else [*kills, redis.restart])


async def run(gateway: Gateway, staying: ServiceProcess, kills: list[Callable[[], None]]) -> None:
    """Publish through an edge that is killed; subscribe at one that stays."""
    workspace = new_name("w")
    channels = [f"room-{number}" for number in range(CHANNELS)]
    subscribers = [Subscriber(ws(staying), f"hears-{channel}", KEY, workspace, channel) for channel in channels]
    await asyncio.gather(*(subscriber.joined.wait() for subscriber in subscribers))
    publishers = [
        Publisher(ws(gateway.edge), f"says-{n}", KEY, workspace, channels[n % CHANNELS], 0) for n in range(CLIENTS)
    ]
    came_back = [await kill_while_publishing(publishers, kill) for kill in kills]
    assert max(came_back) >= CLIENTS // 2, "the edge was killed while most were still publishing"
    assert sum(publisher.repeats for publisher in publishers) > 0, "something was under way when a service was killed"
    for channel, subscriber in zip(channels, subscribers, strict=True):
        kept = await history(ws(staying), new_name("reads"), KEY, workspace, channel)
        check_history(kept, [publisher for publisher in publishers if publisher.channel == channel])
        await check_heard(subscriber, kept)
    await asyncio.gather(*(subscriber.stop() for subscriber in subscribers))


async def kill_while_publishing(publishers: list[Publisher], kill: Callable[[], None]) -> int:
    """Publish a share of each client's messages, with a kill in the middle; returns how many clients had to come back."""
    before = sum(len(publisher.confirmed) for publisher in publishers)
    connections = [publisher.connections for publisher in publishers]
    for publisher in publishers:
        publisher.add(MESSAGES_A_KILL)
    publishing = [asyncio.create_task(publisher.run()) for publisher in publishers]
    share = CLIENTS * MESSAGES_A_KILL
    await confirmed(publishers, before + share // 4)
    await asyncio.to_thread(kill)
    await asyncio.gather(*publishing)
    assert sum(len(publisher.confirmed) for publisher in publishers) == before + share
    return sum(publisher.connections >= past + 2 for publisher, past in zip(publishers, connections, strict=True))


def check_history(kept: list[tuple[Place, str]], publishers: list[Publisher]) -> None:
    """Every confirmed message is there once, at the place that its confirmation named; places have no gap."""
    assert [place.offset for place, _ in kept] == list(range(1, len(kept) + 1))
    assert [message for message, count in Counter(message for _, message in kept).items() if count > 1] == []
    where = {message: place for place, message in kept}
    for publisher in publishers:
        misplaced = {m: place for m, place in publisher.confirmed.items() if where.get(m) != place}
        assert misplaced == {}, f"{publisher.client_id}: confirmed elsewhere, or lost"
    assert len(kept) == sum(len(publisher.confirmed) for publisher in publishers)


async def check_heard(subscriber: Subscriber, kept: list[tuple[Place, str]]) -> None:
    """Whoever stayed connected heard everything, in order, once."""

    async def complete() -> bool:
        return len(subscriber.heard) >= len(kept)

    await eventually(complete, what=f"{subscriber.channel} is heard")
    assert subscriber.heard == kept
    assert subscriber.connected
