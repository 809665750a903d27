"""The wall clocks of services jump, that of Redis is right: everything that lasts goes by Redis.

docs/limits.md, "When the clock jumps". A Redis whose own clock is set back: `tests/conformance/test_cluster_faults.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.stress.process_watch import canaries_came_back, counted
from tests.support.fake_time import FakeTime
from tests.support.protocol_client import Clients, ProtocolClient, new_name
from tests.support.redis_server import RedisServer
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

YEAR_S = 400 * 24 * 3600
LEASE_S = 2.0
CANARIES = 3


@pytest.fixture
def clock(tmp_path: Path) -> FakeTime:
    return FakeTime(tmp_path)


@pytest.fixture
def gateway(tmp_path: Path, clock: FakeTime) -> Iterator[Gateway]:
    """Services that live by the clock, on a Redis that does not."""
    redis = RedisServer(tmp_path / "redis")
    redis.start()
    made = Gateway(
        tmp_path,
        redis=redis.url,
        session={"service-lease-s": LEASE_S, "canary-patience-s": 20, "metrics-port": 0},
        edge={"session-deadline-s": 20},
        variables=clock.variables,
    )
    with made:
        yield made
    redis.stop()


def away_s(frame: dict[str, object]) -> float:
    """Return how far a frame's time is from the real time."""
    return (datetime.fromisoformat(str(frame["timestamp"])) - datetime.now(UTC)).total_seconds()


async def edge_goes_by(client: ProtocolClient, offset_s: int) -> None:
    """Return when the edge's clock is set."""

    async def taken_over() -> bool:
        pong = await client.take("pong", frame_id=await client.send("ping", {}))
        return abs(away_s(pong) - offset_s) < 60

    await eventually(taken_over, what="the edge goes by the new time")


@pytest.mark.parametrize("jump_s", [YEAR_S, -YEAR_S], ids=["year", "-year"])
async def test_what_lasts_goes_by_redis(gateway: Gateway, clock: FakeTime, jump_s: int) -> None:
    """Messages, their times, the window of an id, leases and presence are what they would be with clocks that are right."""
    channel = new_name("room")
    async with Clients(Target.of(gateway)) as clients:
        one, two = await clients.member(channel), await clients.member(channel, presence=True)
        offsets = [(await one.publish(channel, "m", id="same"))["data"]["offset"]]
        for offset_s in (jump_s, 0):
            clock.set(offset_s)
            await edge_goes_by(one, offset_s)
            await canaries_came_back(gateway.edge, CANARIES)
            assert (await one.publish(channel, "m", id="same"))["data"]["offset"] == 1, "the window is not over"
            offsets.append((await one.publish(channel, offset_s))["data"]["offset"])
            heard = await two.take("chat_message", content=offset_s)
            assert abs(away_s(heard)) < 60, "times of messages are those of Redis"
        frame_id = await two.send("history", {"channel": channel})
        kept = await two.take("history", frame_id=frame_id)
        assert [message["offset"] for message in kept["data"]["messages"]] == offsets == [1, 2, 3]
        frame_id = await two.send("presence", {"channel": channel})
        present = await two.take("presence", frame_id=frame_id)
        assert {member["client_id"] for member in present["data"]["members"]} == {one.client_id, two.client_id}
    for process, metric in (
        (gateway.edge, "tidewire_edge_canary_alarms_total"),
        (gateway.edge, "tidewire_edge_stream_timeouts_total"),
        (gateway.session, "tidewire_session_engine_alarms_total"),
        (gateway.session, "tidewire_session_cluster_leases_lost_total"),
    ):
        assert await counted(process, metric) == 0
