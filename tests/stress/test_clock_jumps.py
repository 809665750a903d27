"""The wall clock of all services jumps while clients are connected: docs/limits.md, "When the clock jumps"."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest

from tests.stress.process_watch import canaries_came_back, counted
from tests.support.fake_time import FakeTime
from tests.support.protocol_client import Clients, ProtocolClient, new_name
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

HOUR_S = 3600
DAY_S = 24 * HOUR_S
RETENTION_AGE_S = DAY_S
WINDOW_S = 300
HEARTBEAT_S = 1
# So many canaries take longer than two heartbeats. The edge waits for one for 2.5 times as long.
CANARY_S = 4.0
CANARIES = 1


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> FakeTime:
    return FakeTime(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, clock: FakeTime) -> Iterator[Gateway]:
    """A gateway that lives by the clock."""
    made = Gateway(
        tmp_path_factory.mktemp("jumps"),
        session={
            "retention-age-s": 10_000 * DAY_S,
            "retention-rules": f"aged-*=10000,{RETENTION_AGE_S},67108864",
            "canary-patience-s": 20,
            "idempotency-window-s": WINDOW_S,
            "metrics-port": 0,
        },
        edge={"heartbeat-s": HEARTBEAT_S, "canary-interval-s": CANARY_S, "session-deadline-s": 20},
        variables=clock.variables,
    )
    with made:
        yield made


@pytest.fixture
async def clients(gateway: Gateway, clock: FakeTime) -> AsyncIterator[Clients]:
    """Makes clients; the clock is right at the beginning and at the end."""
    async with Clients(Target.of(gateway)) as made:
        yield made
    await set_clock(gateway, clock, 0)


async def set_clock(gateway: Gateway, clock: FakeTime, offset_s: int) -> None:
    """Set the clock, and return when the edge and the session service go by it."""
    clock.set(offset_s)
    async with Clients(Target.of(gateway)) as others:
        channel = new_name("clock")
        client = await others.member(channel)

        async def taken_over() -> bool:
            pong = await ask_time(client)
            await client.publish(channel, "what time is it?")
            stored = await client.take("chat_message")
            return all(abs(away_s(frame, offset_s)) < 60 for frame in (pong, stored))

        await eventually(taken_over, what="the services go by the new time")


async def ask_time(client: ProtocolClient) -> dict[str, object]:
    frame_id = await client.send("ping", {})
    return await client.take("pong", frame_id=frame_id)


def away_s(frame: dict[str, object], offset_s: int) -> float:
    """Return how far a frame's time is from the real time and an offset."""
    told = datetime.fromisoformat(str(frame["timestamp"]))
    return (told - datetime.now(UTC)).total_seconds() - offset_s


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S, 400 * DAY_S, -400 * DAY_S], ids=["hour", "-hour", "year", "-year"])
async def test_connections_and_delivery_notice_nothing(
    gateway: Gateway, clients: Clients, clock: FakeTime, jump_s: int
) -> None:
    """Deadlines, heartbeats, canaries and order go by clocks that never jump, and by offsets."""
    channel = new_name("room")
    one, two = await clients.member(channel), await clients.member(channel)
    offsets = [(await one.publish(channel, "before"))["data"]["offset"]]
    for offset_s in (jump_s, 0):
        await set_clock(gateway, clock, offset_s)
        await canaries_came_back(gateway.edge, CANARIES)
        confirmed = await one.publish(channel, offset_s)
        offsets.append(confirmed["data"]["offset"])
        heard = await two.take("chat_message", content=offset_s)
        assert abs(away_s(heard, offset_s)) < 60, "times in frames are those of the clock"
        newcomer = await clients.member(channel)
        await newcomer.assert_open()
    assert offsets == [1, 2, 3]
    frame_id = await two.send("history", {"channel": channel})
    kept = await two.take("history", frame_id=frame_id)
    assert [message["offset"] for message in kept["data"]["messages"]] == offsets
    for process, metric in (
        (gateway.edge, "tidewire_edge_canary_alarms_total"),
        (gateway.edge, "tidewire_edge_stream_timeouts_total"),
        (gateway.session, "tidewire_session_engine_alarms_total"),
    ):
        assert await counted(process, metric) == 0


async def test_a_key_lives_by_the_clock(gateway: Gateway, clients: Clients, clock: FakeTime) -> None:
    """A clock set forward ends keys whose time has come by it, on live connections too; set back, they are good again."""
    key = await asyncio.to_thread(lambda: gateway.key_admin().create(expires_in_s=2 * HOUR_S))
    inside = await clients.connected(api_key=key.api_key)
    other = await clients.connected()
    await set_clock(gateway, clock, 3 * HOUR_S)
    await inside.expect_error("token_expired", 403)
    await inside.expect_goodbye(4000)

    async def answer() -> str:
        client = await clients.open()
        await client.send_connect(clients.workspace, api_key=key.api_key)
        frame = await client.receive()
        return str(frame["data"].get("error_type", frame["type"]))

    async def refused() -> bool:
        return await answer() == "token_expired"

    async def good_again() -> bool:
        return await answer() == "connection_success"

    await eventually(refused, what="the auth service goes by the new time too")
    await other.assert_open()
    await set_clock(gateway, clock, 0)
    await eventually(good_again, what="the key is good again")


async def test_the_window_of_an_id_goes_by_the_clock(gateway: Gateway, clients: Clients, clock: FakeTime) -> None:
    """Set back it lasts longer. Set forward by more than the window it is over: the same id is stored once more."""
    channel = new_name("room")
    client = await clients.member(channel)
    first = await client.publish(channel, "m", id="same")
    await set_clock(gateway, clock, -HOUR_S)
    assert (await client.publish(channel, "m", id="same"))["data"]["offset"] == first["data"]["offset"]
    await set_clock(gateway, clock, WINDOW_S // 2)
    assert (await client.publish(channel, "m", id="same"))["data"]["offset"] == first["data"]["offset"]
    await set_clock(gateway, clock, 2 * WINDOW_S)
    assert (await client.publish(channel, "m", id="same"))["data"]["offset"] == first["data"]["offset"] + 1


async def test_retention_goes_by_the_clock(gateway: Gateway, clients: Clients, clock: FakeTime) -> None:
    """Set back, or forward by less than the age that is kept, nothing goes. Beyond it what is too old goes, which is told."""
    channel = new_name("aged")
    client = await clients.member(channel)
    for number in range(1, 4):
        await client.publish(channel, number)
    epoch = (await client.publish(channel, 4))["data"]["epoch"]
    since = {"channel": channel, "since": {"epoch": epoch, "offset": 0}}

    async def kept() -> tuple[list[int], str | None]:
        frame_id = await client.send("history", since)
        answer = await client.take("history", frame_id=frame_id)
        offsets = [message["offset"] for message in answer["data"]["messages"]]
        return offsets, answer["data"].get("reason")

    for offset_s in (-2 * RETENTION_AGE_S, RETENTION_AGE_S // 2, 0):
        await set_clock(gateway, clock, offset_s)
        await canaries_came_back(gateway.edge, CANARIES)  # longer than the pause between two looks at what is too old
        assert await kept() == ([1, 2, 3, 4], None)
    await set_clock(gateway, clock, 2 * RETENTION_AGE_S)

    async def gone() -> bool:
        return await kept() == ([], "history_expired")

    await eventually(gone, what="what is too old by the clock goes, and that is told")
    again = await client.publish(channel, 5)
    assert (again["data"]["offset"], again["data"]["epoch"]) == (5, epoch), "offsets go on"
