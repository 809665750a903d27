"""The load: members that listen in channels, and a publisher for each channel that sends at fixed times."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence

from tests.soak.books import ChannelBook
from tests.soak.plan import Plan
from tests.stress.caller import Caller, Ended, Refused
from tests.stress.herd import Herd
from tests.stress.raw_client import ServerFrame
from tests.support.protocol_client import new_name

KEY = "valid-test-key"
PAD = "x" * 200
CALIBRATION_S = 20.0
# Messages of one publisher that are not confirmed yet, while the capacity is looked for.
WINDOW = 100
# More than may ever be under way at a rate that the system can do.
MOST_UNDER_WAY = 10_000
# The shorter, the less comes at once.
TICK_S = 0.002


class Publisher:
    """Publishes to one channel, and is a member of it."""

    def __init__(self, channel: str) -> None:
        self.book = ChannelBook(channel)
        self.refused: Counter[str] = Counter()
        self.left_out = 0
        self.caller: Caller
        self._numbers = itertools.count(1)
        self._under_way: set[asyncio.Task[None]] = set()

    async def come(self, address: str, workspace: str) -> None:
        """Connect and join."""
        channel = self.book.name
        self.caller = await Caller.open(address, KEY, workspace, f"says-{channel}", self._hear, channels=[channel])

    def _hear(self, frame: ServerFrame) -> None:
        self.book.see(frame.id, frame.offset)

    def publish(self) -> None:
        """Publish one message, unless far too many wait for an answer."""
        if len(self._under_way) >= MOST_UNDER_WAY:
            self.left_out += 1
            return
        task = asyncio.get_running_loop().create_task(self._publish())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _publish(self) -> None:
        message_id = f"m-{next(self._numbers)}"
        try:
            frame = await self.caller.publish(self.book.name, PAD, message_id)
        except Refused as refused:
            self.refused[refused.data["error_type"]] += 1
        except Ended:
            self.refused["connection ended"] += 1
        else:
            self.book.confirm(message_id, frame.data["offset"])

    async def settle(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._under_way)

    async def closed_loop(self, end_s: float) -> None:
        """Publish as fast as confirmations come."""

        async def one_after_the_other() -> None:
            while time.monotonic() < end_s:
                await self._publish()

        await asyncio.gather(*(one_after_the_other() for _ in range(WINDOW)))


class Traffic:
    """All of it.

    Args:
        address: Of the edge.
        plan: How much.
    """

    def __init__(self, address: str, plan: Plan) -> None:
        self._address = address
        self.workspace = new_name("w")
        names = [new_name("room") for _ in range(plan.channels)]
        self.publishers = [Publisher(name) for name in names]
        self.herd = Herd(address, KEY, self.workspace, names, plan.channels * plan.members)

    async def come(self) -> None:
        """Have everybody in."""
        for publisher in self.publishers:
            await publisher.come(self._address, self.workspace)
        self.herd.come()

    async def capacity(self, steady_s: float) -> float:
        """Return how many messages a second are confirmed when each publisher waits for nothing but confirmations.

        Args:
            steady_s: Seconds until the store holds as much as it ever will: what is trimmed from then on costs too.
        """
        end_s = time.monotonic() + steady_s + CALIBRATION_S
        running = asyncio.gather(*(publisher.closed_loop(end_s) for publisher in self.publishers))
        await asyncio.sleep(steady_s)
        before, began_s = self.confirmed, time.monotonic()
        await running
        return (self.confirmed - before) / (time.monotonic() - began_s)

    async def run(self, rate: float, end_s: float) -> None:
        """Publish so many messages a second, to the channels in turn, until a time of the monotonic clock."""
        began_s, number = time.monotonic(), 0
        while (now_s := time.monotonic()) < end_s:
            while began_s + number / rate <= now_s:
                self.publishers[number % len(self.publishers)].publish()
                number += 1
            for publisher in self.publishers:
                assert not publisher.caller.client.ended, f"a publisher lost its connection: {publisher.caller.goodbye}"
            await asyncio.sleep(TICK_S)
        for publisher in self.publishers:
            await publisher.settle()

    @property
    def behind(self) -> int:
        """How many members are not connected, or lack something."""
        return self.herd.behind({publisher.book.name: publisher.book.head for publisher in self.publishers})

    def faults(self) -> Counter[str]:
        """Return what must not be, by kind."""
        faults = Counter({f"members: {what}": count for what, count in self.herd.faults.items()})
        for publisher in self.publishers:
            faults.update({f"publishers: {what}": count for what, count in publisher.book.faults.items()})
            faults["lost"] += publisher.book.lost
            faults["left out, as too many were under way"] += publisher.left_out
        return +faults

    def refused(self) -> Counter[str]:
        """Return what was refused, by type of error."""
        return sum((publisher.refused for publisher in self.publishers), Counter(self.herd.errors))

    @property
    def confirmed(self) -> int:
        return sum(publisher.book.confirmed for publisher in self.publishers)

    def leave(self) -> None:
        """Let everybody go."""
        self.herd.end()
        for publisher in self.publishers:
            publisher.caller.drop()

    @property
    def connections(self) -> Sequence[object]:
        return [*self.herd.connections, *(p for p in self.publishers if not p.caller.client.ended)]
