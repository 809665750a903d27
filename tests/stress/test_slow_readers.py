"""Members that do not read make the others' messages no later: p99 within 1.2 times of what it is when all read.

Rounds with and without slow members take turns on the same connections, so that whatever else the machine does meets both
alike; what is judged is the median of the ratios of neighbours. More rounds are made while it is not clear.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.stress.caller import Caller, Ended
from tests.stress.process_watch import counted
from tests.stress.raw_client import ServerFrame
from tests.support.protocol_client import new_name
from tests.support.services import Gateway
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

KEY = "valid-test-key"
READERS = 8
SLOW = 6
RATE = 50.0
ROUND_S = 3.0
PAD = "x" * 50_000
WITHIN = 1.2
LEAST_PAIRS, MOST_PAIRS = 5, 15
SMALL_BUFFER = 64 * 1024
OnMessage = Callable[[ServerFrame], None]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    made = Gateway(tmp_path, edge={"frames-per-second": 0, "bytes-per-second": 0, "max-outbox-bytes": 262_144})
    async with made:
        yield made


def ignore(_: ServerFrame) -> None:
    """Take a message."""


class Room:
    """A channel with members that read, and some that may stop to."""

    def __init__(self, gateway: Gateway) -> None:
        self._address = gateway.edge.address
        self._workspace, self._channel = new_name("w"), new_name("room")
        self._readers: list[Caller] = []
        self._slow: list[Caller] = []
        self._latencies_s: list[float] = []
        self._sent = 0
        self.let_go = 0

    async def fill(self) -> None:
        """Have all come in."""
        self._readers = [await self._member(f"reads-{n}", self._hear) for n in range(READERS)]
        self._slow = [await self._member(f"slow-{n}", ignore, SMALL_BUFFER) for n in range(SLOW)]

    async def _member(self, name: str, on_message: OnMessage, receive_buffer: int = 0) -> Caller:
        return await Caller.open(
            self._address,
            KEY,
            self._workspace,
            name,
            on_message,
            channels=[self._channel],
            receive_buffer=receive_buffer,
        )

    def _hear(self, frame: ServerFrame) -> None:
        self._latencies_s.append(time.monotonic() - float(frame.id))

    async def round(self, *, slow: bool) -> float:
        """Publish for a while at a steady rate, and return the p99 of what the readers saw, in seconds."""
        self._latencies_s = []
        for member in self._slow:
            if slow:
                member.client.pause()
        sent = await self._publish()
        await eventually(self._heard(sent * READERS), what="the readers have everything")
        await self._all_read_again()
        return statistics.quantiles(self._latencies_s, n=100)[-1]

    async def _publish(self) -> int:
        """Send at fixed times, whether earlier messages are confirmed or not; a message's latency counts from its time."""
        writer, answers = self._readers[0], []
        start_s = time.monotonic()
        count = int(ROUND_S * RATE)
        for number in range(count):
            due_s = start_s + number / RATE
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            answers.append(writer.publish(self._channel, PAD, frame_id=f"{due_s:.6f}"))
        await asyncio.gather(*answers)
        return count

    def _heard(self, count: int) -> Callable[[], Awaitable[bool]]:
        async def condition() -> bool:
            return len(self._latencies_s) >= count

        return condition

    async def _all_read_again(self) -> None:
        """Let the slow ones read what waits; those that were let go come back."""
        for number, member in enumerate(self._slow):
            member.client.resume()
            try:
                await member.ask("ping", None, until="pong")
            except Ended:
                # Who reads nothing for so long that the edge ends the connection is not told why.
                assert member.client.close_code in (1013, None)
                self.let_go += 1
                self._slow[number] = await self._member(f"slow-{number}", ignore, SMALL_BUFFER)

    def close(self) -> None:
        for member in (*self._readers, *self._slow):
            member.drop()


async def test_slow_readers_slow_nobody_else(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    room = Room(gateway)
    try:
        await room.fill()
        await room.round(slow=True)  # all is warm
        ratios: list[float] = []
        p99s: list[dict[bool, float]] = []
        while len(ratios) < LEAST_PAIRS or (statistics.median(ratios) > WITHIN and len(ratios) < MOST_PAIRS):
            pair: dict[bool, float] = {}
            for slow in (True, False) if len(ratios) % 2 else (False, True):
                pair[slow] = await room.round(slow=slow)
            ratios.append(pair[True] / pair[False])
            p99s.append(pair)
        medians_ms = {slow: 1000 * statistics.median(pair[slow] for pair in p99s) for slow in (False, True)}
        with capsys.disabled():
            print(
                f"\np99 of those who read: {medians_ms[False]:.2f} ms; beside {SLOW} who do not: {medians_ms[True]:.2f} ms;"
                f" ratio {statistics.median(ratios):.2f} (median of {len(ratios)}), {room.let_go} let go"
            )
        assert statistics.median(ratios) <= WITHIN, ratios
        assert room.let_go > SLOW, "slow ones were let go again and again"
        assert await counted(gateway.edge, "tidewire_edge_slow_consumers_total") == room.let_go
    finally:
        room.close()
