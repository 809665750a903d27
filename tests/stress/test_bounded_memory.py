"""Whatever clients do not read, and however much is published: memory stays where its bounds have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stress.process_watch import MIB, counted, resident_bytes
from tests.stress.raw_client import RawClient, ServerFrame
from tests.support.protocol_client import Clients, ProtocolClient, new_name
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow]

KEY = "valid-test-key"
OUTBOX_BYTES = 256 * 1024
REPLAY_BYTES = MIB
RING_BYTES = 64 * 1024
RINGS_BYTES = 2 * MIB
RETENTION_BYTES = MIB
EDGE_OUTBOX_BYTES = 4 * MIB
MESSAGE = "x" * 50_000
SLOW = 40
ENOUGH = 120
CHANNELS = 40
# What a process may take for everything else that happens meanwhile: its allocator gives nothing back at once.
SLACK_BYTES = 48 * MIB
DEADLINE_S = 60.0
JOIN_DEADLINE_S = 30.0


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway with small bounds, and without limits of rate."""
    made = Gateway(
        tmp_path,
        session={
            "ring-bytes": RING_BYTES,
            "rings-total-bytes": RINGS_BYTES,
            "retention-rules": f"filled-*=10000,86400,{RETENTION_BYTES}",
            "max-edge-outbox-bytes": EDGE_OUTBOX_BYTES,
            "metrics-port": 0,
        },
        edge={
            "frames-per-second": 0,
            "bytes-per-second": 0,
            "max-outbox-bytes": OUTBOX_BYTES,
            "max-replay-bytes": REPLAY_BYTES,
        },
    )
    async with made:
        yield made


@pytest.fixture
async def clients(gateway: Gateway) -> AsyncIterator[Clients]:
    async with Clients(Target.of(gateway)) as made:
        yield made


class Deaf:
    """A client that connects, joins, and reads nothing more when it has joined."""

    def __init__(self) -> None:
        self.joined = asyncio.Event()
        self.client: RawClient

    async def come(self, address: str, workspace: str, channel: str) -> None:
        """Return when it has joined, and stopped to read."""
        self._workspace, self._channel = workspace, channel
        self.client = await RawClient.open(address, new_name("deaf"), self._on_frame, receive_buffer=8192)
        async with asyncio.timeout(JOIN_DEADLINE_S):
            await self.joined.wait()

    def _on_frame(self, client: RawClient, frame: ServerFrame) -> None:
        if frame.type == "connection_established":
            client.connect(KEY, self._workspace)
        elif frame.type == "connection_success":
            client.send("join_channel", {"channel": self._channel}, id="join")
        elif frame.type == "subscription_success":
            client.pause()
            self.joined.set()


async def deaf_clients(gateway: Gateway, workspace: str, channel: str, count: int) -> list[Deaf]:
    everybody = [Deaf() for _ in range(count)]
    await asyncio.gather(*(deaf.come(gateway.edge.address, workspace, channel) for deaf in everybody))
    return everybody


async def fill(writer: ProtocolClient, channel: str, count: int) -> None:
    """Publish large messages, one after the other."""
    for number in range(count):
        await writer.publish(channel, MESSAGE, id=f"{channel}-{number}")
        await writer.take("chat_message")


async def test_outboxes_of_those_who_read_nothing(gateway: Gateway, clients: Clients) -> None:
    channel = new_name("room")
    writer = await clients.member(channel)
    everybody = await deaf_clients(gateway, clients.workspace, channel, SLOW)
    before = resident_bytes(gateway.edge.pid)
    largest = written = 0
    async with asyncio.timeout(DEADLINE_S):
        while written < ENOUGH or await counted(gateway.edge, "tidewire_edge_slow_consumers_total") < SLOW:
            await writer.publish(channel, MESSAGE)
            await writer.take("chat_message")
            written += 1
            largest = max(largest, resident_bytes(gateway.edge.pid))
            waiting = await counted(gateway.edge, "tidewire_edge_largest_outbox_bytes")
            assert waiting <= OUTBOX_BYTES + 2 * len(MESSAGE)
    most = SLOW * (OUTBOX_BYTES + 2 * len(MESSAGE)) + SLACK_BYTES
    assert written * len(MESSAGE) * SLOW > 3 * most, "far more was published than may be kept"
    assert largest - before < most
    await writer.assert_open()
    for deaf in everybody:
        deaf.client.drop()


@pytest.mark.parametrize("question", ["history", "join_channel"])
async def test_answers_that_nobody_reads(gateway: Gateway, clients: Clients, question: str) -> None:
    """Who asks and asks and does not read is let go, before what it asked for fills the memory."""
    channel = new_name("room")
    writer = await clients.member(channel)
    await fill(writer, channel, 15)
    (deaf,) = await deaf_clients(gateway, clients.workspace, channel, 1)
    before = resident_bytes(gateway.edge.pid)
    largest = before
    async with asyncio.timeout(DEADLINE_S):
        while await counted(gateway.edge, "tidewire_edge_slow_consumers_total") < 1:
            for _ in range(5):
                if question == "history":
                    deaf.client.send("history", {"channel": channel, "limit": 1000})
                else:
                    deaf.client.send("leave_channel", {"channel": channel})
                    deaf.client.send("join_channel", {"channel": channel, "history": 1000})
            largest = max(largest, resident_bytes(gateway.edge.pid))
            waiting = await counted(gateway.edge, "tidewire_edge_largest_outbox_bytes")
            assert waiting <= OUTBOX_BYTES + REPLAY_BYTES + 5 * MIB, "one turn's answers more than the bounds, at most"
    assert largest - before < SLACK_BYTES
    await writer.assert_open()
    deaf.client.drop()


async def test_an_edge_that_reads_nothing(gateway: Gateway, clients: Clients) -> None:
    """Beyond the bound it is cut off. When it reads again it attaches anew, and its clients miss nothing."""
    stuck = await asyncio.to_thread(gateway.another_edge, "stuck", max_outbox_bytes=64 * MIB)
    channel = new_name("room")
    writer = await clients.member(channel)
    async with Clients(Target.of(gateway, stuck)) as others:
        others.workspace = clients.workspace
        member = await others.member(channel)
        before = largest = resident_bytes(gateway.session.pid)
        written = 0
        stuck.freeze()
        async with asyncio.timeout(DEADLINE_S):
            while await counted(gateway.session, "tidewire_session_edges_cut_off_total") < 1:
                await writer.publish(channel, MESSAGE)
                await writer.take("chat_message")
                written += 1
                largest = max(largest, resident_bytes(gateway.session.pid))
                waiting = await counted(gateway.session, "tidewire_session_outbox_bytes")
                assert waiting <= EDGE_OUTBOX_BYTES + 2 * len(MESSAGE)
        stuck.thaw()
        assert largest - before < EDGE_OUTBOX_BYTES + SLACK_BYTES
        heard = [await member.take("chat_message") for _ in range(written)]
        assert [frame["offset"] for frame in heard] == list(range(1, written + 1))


async def test_rings_and_retention(gateway: Gateway, clients: Clients) -> None:
    """Forty channels get fifty times of what all rings may hold."""
    channels = [new_name("filled") for _ in range(CHANNELS)]
    writer = await clients.connected()
    for channel in channels:
        await writer.join(channel)
        await fill(writer, channel, 2)
    before = resident_bytes(gateway.session.pid)
    largest = written = 0
    for _ in range(50):
        for channel in channels:
            await writer.publish(channel, MESSAGE)
            await writer.take("chat_message")
            written += 1
        largest = max(largest, resident_bytes(gateway.session.pid))
    assert written * len(MESSAGE) > 40 * RINGS_BYTES
    assert largest - before < RINGS_BYTES + SLACK_BYTES
    epoch = (await writer.publish(channels[0], "last"))["data"]["epoch"]

    async def trimmed() -> bool:
        frame_id = await writer.send("history", {"channel": channels[0], "since": {"epoch": epoch, "offset": 0}})
        answer = await writer.take("history", frame_id=frame_id)
        kept = sum(len(message["data"]["content"]) for message in answer["data"]["messages"])
        return bool(answer["data"].get("reason") == "history_expired" and kept <= RETENTION_BYTES)

    await eventually(trimmed, DEADLINE_S, "the oldest are gone, and that is said")
    frame_id = await writer.send("leave_channel", {"channel": channels[0]})
    await writer.take("unsubscription_success", frame_id=frame_id)
    frame_id = await writer.send("join_channel", {"channel": channels[0], "recover": {"epoch": epoch, "offset": 1}})
    joined = await writer.take("subscription_success", frame_id=frame_id)
    assert (joined["data"]["recovered"], joined["data"]["reason"]) == (False, "history_expired")
