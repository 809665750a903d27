"""Messages at a fixed rate: `fanout` (one channel, many members), `rooms` (many small channels), `echo` (each to itself)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tidewire_client.load.figures import COMMON, MESSAGES, Figure
from tidewire_client.load.plan import ClientPlan
from tidewire_client.load.scenarios.base import Limits, check_publisher, put_messages
from tidewire_client.load.stage import Stage


def channel_plans(stage: Stage, number: int, first: int, members: int, publishers: int, size: int) -> list[ClientPlan]:
    """Return the clients of one channel, of which the first publish; the phases of their messages are set later.

    Args:
        stage: Names the channel.
        number: Of the channel.
        first: Number of its first client.
        members: How many clients.
        publishers: How many of them publish.
        size: Characters of each message.
    """
    hears = tuple(range(first, first + publishers))
    return [
        ClientPlan(client, (stage.channel(number),), client if client in hears else None, hears=hears, size=size)
        for client in range(first, first + members)
    ]


def spread(plans: Sequence[ClientPlan]) -> list[ClientPlan]:
    """Return clients with the turns of those that publish spread evenly."""
    publishers = sum(plan.stream is not None for plan in plans)
    found, taken = [], 0
    for plan in plans:
        phase = taken / publishers if publishers else 0.0
        taken += plan.stream is not None
        found.append(replace(plan, phase=phase))
    return found


async def warm_up(stage: Stage, rate: float, seconds: float) -> None:
    """Send for a while without measuring: permissions are asked for, and caches filled, with the first messages."""
    if seconds > 0:
        stage.enter("warming up", seconds)
        await stage.publish(rate, seconds)
        await stage.drain()


@dataclass(frozen=True)
class Traffic:
    """Messages at a fixed rate to members of channels.

    Args:
        name: Of the scenario.
        channels: How many.
        members: Of each channel.
        publishers: Of each channel; its first members.
        rate: Messages a second of each publisher.
        duration_s: How long, in seconds.
        size: Characters of each message.
        warm_up_s: Not measured, before it, in seconds.
        remedy: What to do when one connection would send too much.
    """

    name: str
    channels: int
    members: int
    publishers: int
    rate: float
    duration_s: float
    size: int
    warm_up_s: float
    remedy: str

    figures: Sequence[Figure] = (*COMMON, *MESSAGES)
    publishes: bool = True

    @property
    def clients(self) -> int:
        """How many connections it holds at the same time."""
        return self.channels * self.members

    def check(self, limits: Limits) -> None:
        """Refuse what the edge would refuse."""
        check_publisher(limits, self.rate, self.size, self.remedy)

    async def play(self, stage: Stage) -> None:
        """Connect all, warm up, send, and wait for all of it."""
        plans = []
        for number in range(self.channels):
            plans += channel_plans(stage, number, number * self.members, self.members, self.publishers, self.size)
        stage.enter("connecting")
        await stage.open(spread(plans))
        if stage.interrupted:
            return
        await warm_up(stage, self.rate, self.warm_up_s)
        stage.enter("sending", self.duration_s)
        before = stage.processes.totals().sent
        async with stage.measured():
            seconds = await stage.publish(self.rate, self.duration_s)
        stage.enter("waiting for the last messages")
        drained = await stage.drain()
        put_messages(stage, drained, seconds, stage.processes.totals().sent - before)
