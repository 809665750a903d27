"""protocol.md, limits of a connection: what is too large, too many, too fast, too slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest

from tests.support.key_admin import MadeKey
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import Clients, new_name
from tests.support.services import Gateway
from tests.support.target import Target

pytestmark = pytest.mark.integration

FRAME_BYTES = 64 * 1024


def ping_of(size: int) -> str:
    """Return a ping of exactly so many bytes."""
    empty = json.dumps({"type": "ping", "data": {"pad": ""}})
    return empty.replace('""', '"' + "x" * (size - len(empty)) + '"')


@pytest.fixture(scope="module")
def strict_edge(gateway: Gateway) -> ServiceProcess:
    """An edge on which every limit is near."""
    return gateway.another_edge("strict", frames_per_second=1, frames_burst=10, rate_limit_warnings=3, max_channels=3)


@pytest.fixture(scope="module")
def hasty_edge(gateway: Gateway) -> ServiceProcess:
    """An edge that waits for `connect` no longer than a slow machine needs."""
    return gateway.another_edge("hasty", auth_timeout_s=2)


@pytest.fixture(params=["client", "debug"])
async def strict(
    strict_edge: ServiceProcess, gateway: Gateway, request: pytest.FixtureRequest
) -> AsyncIterator[Clients]:
    async with Clients(Target.of(gateway, strict_edge), debug=request.param == "debug") as made:
        yield made


@pytest.fixture(params=["client", "debug"])
async def hasty(hasty_edge: ServiceProcess, gateway: Gateway, request: pytest.FixtureRequest) -> AsyncIterator[Clients]:
    async with Clients(Target.of(gateway, hasty_edge), debug=request.param == "debug") as made:
        yield made


async def test_largest_frame(clients: Clients) -> None:
    client = await clients.connected()
    await client.send_text(ping_of(FRAME_BYTES))
    await client.expect("pong")
    await client.assert_open()


@pytest.mark.parametrize("size", [FRAME_BYTES + 1, 2 * FRAME_BYTES, 1024 * 1024])
async def test_too_large_a_frame(clients: Clients, size: int) -> None:
    client = await clients.connected()
    await client.send_text(ping_of(size))
    await client.expect_goodbye(1009)


async def test_too_large_a_frame_before_connect(clients: Clients) -> None:
    client = await clients.open()
    await client.send_text(ping_of(FRAME_BYTES + 1))
    await client.expect_goodbye(1009)


async def test_too_large_a_binary_frame(clients: Clients) -> None:
    client = await clients.connected()
    await client.send_text(b"x" * (FRAME_BYTES + 1))
    await client.expect_goodbye(1009)


async def test_hundred_channels(clients: Clients) -> None:
    client = await clients.connected()
    for number in range(100):
        await client.send("join_channel", {"channel": f"room-{number}"})
    for _ in range(100):
        await client.take("subscription_success")
        await client.take("message_delivered")
    frame_id = await client.send("join_channel", {"channel": "one-too-many"})
    await client.expect_refusal("channel_error", 409, frame_id=frame_id)
    await client.send("leave_channel", {"channel": "room-0"})
    await client.take("unsubscription_success")
    await client.take("message_delivered")
    await client.join("one-too-many")


async def test_channels_by_setting(strict: Clients) -> None:
    client = await strict.connected()
    for number in range(3):
        await client.join(f"room-{number}")
    frame_id = await client.send("join_channel", {"channel": "one-too-many"})
    await client.expect_refusal("channel_error", 409, frame_id=frame_id)


async def test_channels_by_key(clients: Clients, make_key: Callable[..., MadeKey]) -> None:
    client = await clients.connected(api_key=make_key(max_channels=1).api_key)
    await client.join("room-0")
    frame_id = await client.send("join_channel", {"channel": "one-too-many"})
    await client.expect_refusal("channel_error", 409, frame_id=frame_id)


async def test_no_connect_in_time(hasty: Clients) -> None:
    client = await hasty.open()
    await client.expect_error("auth_timeout", 408, message="Authentication timeout")
    await client.expect_goodbye(4000, "Authentication timeout")


async def test_who_connected_in_time_is_left_alone(hasty: Clients) -> None:
    """An hour of silence is none of the timeout's business: another client runs into it meanwhile."""
    client = await hasty.connected()
    idle = await hasty.open()
    await idle.expect_error("auth_timeout", 408)
    await client.assert_open()


async def test_too_fast_is_told_and_stays_open(strict: Clients) -> None:
    client = await strict.connected()
    ids = [await client.send("ping", {}) for _ in range(11)]
    answers = [await client.receive() for _ in ids]
    limited = [frame for frame in answers if frame["type"] == "error"]
    assert 1 <= len(limited) <= 3
    for frame in limited:
        assert frame["id"] in ids
        assert (frame["data"]["error_type"], frame["data"]["code"]) == ("rate_limited", 429)
        assert frame["data"]["retry_after_ms"] > 0
    client.observe_error(limited[0])
    await asyncio.sleep(limited[-1]["data"]["retry_after_ms"] / 1000 + 0.1)  # what the server asked for
    await client.assert_open()


async def test_who_goes_on_is_let_go(strict: Clients) -> None:
    client = await strict.connected()
    for _ in range(40):
        await client.send("ping", {})
    frames = []
    while not frames or frames[-1]["type"] != "disconnect":
        frames.append(await client.receive())
    assert frames[-2]["type"] == "error"
    errors = [frame for frame in frames if frame["type"] == "error"]
    assert {frame["data"]["error_type"] for frame in errors} == {"rate_limited"}
    assert len(errors) > 3, "warnings come first"
    assert frames[-1]["data"]["code"] == 4001
    assert frames[-1]["data"]["reconnect"] is True
    assert frames[-1]["data"]["retry_after_ms"] > 0
    await client.assert_closed(4001)


async def test_frames_by_key(clients: Clients, make_key: Callable[..., MadeKey]) -> None:
    client = await clients.connected(api_key=make_key(frames_per_second=1, frames_burst=2).api_key)
    for _ in range(8):
        await client.send("ping", {})
    await client.take("error", error_type="rate_limited", code=429)


async def test_bytes_by_key(clients: Clients, make_key: Callable[..., MadeKey]) -> None:
    client = await clients.connected(api_key=make_key(bytes_per_second=1000).api_key)
    for _ in range(8):
        await client.send("ping", {"pad": "x" * 20_000})
    await client.take("error", error_type="rate_limited", code=429)


async def test_frames_of_all_connections_of_a_key(clients: Clients, make_key: Callable[..., MadeKey]) -> None:
    key = make_key(key_frames_per_second=2)
    both = [await clients.connected(api_key=key.api_key) for _ in range(2)]
    for _ in range(4):
        for client in both:
            await client.send("ping", {})
    answers = [await client.receive() for _ in range(4) for client in both]
    assert any(frame["data"].get("error_type") == "rate_limited" for frame in answers)


async def test_connections_by_key(clients: Clients, make_key: Callable[..., MadeKey]) -> None:
    key = make_key(max_connections=1)
    first = await clients.connected(api_key=key.api_key)
    second = await clients.open()
    await second.send_connect(clients.workspace, api_key=key.api_key)
    assert (await second.receive())["type"] == "error"
    await first.assert_open()


@pytest.mark.parametrize("debug", [False, True], ids=["client", "debug"])
async def test_full_edge(gateway: Gateway, clients_of: Callable[..., Clients], debug: bool) -> None:
    edge = gateway.another_edge(f"full-{debug}", max_connections=2)
    made = clients_of(Target.of(gateway, edge), debug=debug)
    one, two = await made.connected(), await made.connected()
    third = await made.open(established=False)
    await third.expect_goodbye(1013)
    await one.assert_open()
    await two.close()
    await asyncio.to_thread(gateway.wait_ready)

    async def room_again() -> bool:
        client = await made.open(established=False)
        frame = await client.receive()
        await client.close()
        return frame["type"] == "connection_established"

    async with asyncio.timeout(30):
        while not await room_again():
            pass


async def test_slow_reader(gateway: Gateway, clients_of: Callable[..., Clients]) -> None:
    """Who does not read is let go with 1013; the others notice nothing."""
    edge = gateway.another_edge(
        "slow", max_outbox_bytes=65_536, frames_per_second=0, bytes_per_second=0, log_format="json"
    )
    made = clients_of(Target.of(gateway, edge))
    channel = new_name("room")
    slow = await made.connected(options={"max_queue": 1})
    await slow.join(channel)
    writer = await made.member(channel)
    sent = 0
    async with asyncio.timeout(60):
        while slow_consumers(await _metrics(edge)) < 1:
            await writer.publish(channel, "x" * 60_000)
            await writer.take("chat_message")
            sent += 1
    frames = []
    while not frames or frames[-1]["type"] != "disconnect":
        frames.append(await slow.receive())
    offsets = [frame["offset"] for frame in frames if frame["type"] == "chat_message"]
    assert offsets == list(range(1, len(offsets) + 1))
    assert len(offsets) < sent
    assert frames[-1]["data"]["code"] == 1013
    assert frames[-1]["data"]["reconnect"] is True
    assert frames[-1]["data"]["retry_after_ms"] >= 0
    await slow.assert_closed(1013)
    await writer.assert_open()
    (line,) = (json.loads(line) for line in edge.log().splitlines() if "client is let go" in line)
    assert (line["code"], line["reason"], line["level"]) == (1013, "Client reads too slowly", "warning")
    assert line["connection"] >= 1
    assert line["session"]
    assert line["key_id"]
    assert slow.target.api_key not in json.dumps(line)


async def _metrics(edge: ServiceProcess) -> str:
    from tests.support.http_client import http_async

    return (await http_async("GET", f"http://{edge.address}/metrics")).body.decode()


def slow_consumers(metrics: str) -> float:
    lines = [line for line in metrics.splitlines() if line.startswith("tidewire_edge_slow_consumers")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if "_created" not in line)
