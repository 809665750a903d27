"""`slow`: some members of a channel stop to read: what the others notice, and what becomes of those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tidewire_client.load.client import STAYED
from tidewire_client.load.figures import COMMON, MESSAGES, Figure
from tidewire_client.load.scenarios.base import Limits, check_publisher, put_messages, put_times
from tidewire_client.load.scenarios.traffic import channel_plans, spread, warm_up
from tidewire_client.load.stage import Stage


@dataclass(frozen=True)
class Slow:
    """One channel, of which some members stop to read for a while.

    Args:
        members: That read all the time; the first of them publishes.
        slow: That stop.
        rate: Messages a second.
        duration_s: How long, first with all reading and then again without the slow ones, in seconds.
        size: Characters of each message.
        warm_up_s: Not measured, before it, in seconds.
    """

    members: int
    slow: int
    rate: float
    duration_s: float
    size: int
    warm_up_s: float

    name: str = "slow"
    publishes: bool = True
    figures: Sequence[Figure] = (
        *COMMON,
        *MESSAGES,
        Figure("before_p50_ms", "ms", "while all read: half of the deliveries took no longer"),
        Figure("before_p99_ms", "ms", "while all read: 99 % of the deliveries took no longer"),
        Figure("p50_ratio", "x", "p50_ms over before_p50_ms: what others notice of those that do not read"),
        Figure("p99_ratio", "x", "p99_ms over before_p99_ms"),
        Figure("slow_let_go", "", "slow clients whose connection the gateway ended", None),
        Figure("slow_missing", "", "messages that slow clients did not get, also after they had come back"),
        Figure("slow_consumers", "", "clients let go as too slow, as the edges with --metrics count them", None),
    )

    @property
    def clients(self) -> int:
        """How many connections it holds at the same time."""
        return self.members + self.slow

    def check(self, limits: Limits) -> None:
        """Refuse what the edge would refuse."""
        check_publisher(limits, self.rate, self.size, "send less")

    async def play(self, stage: Stage) -> None:
        """Send while all read, then while some do not, then let these read again."""
        values = stage.findings.figures
        plans = channel_plans(stage, 0, 0, self.clients, 1, self.size)
        plans = [replace(plan, slow=True, small_buffer=True) if plan.number >= self.members else plan for plan in plans]
        stage.enter("connecting")
        await stage.open(spread(plans))
        if stage.interrupted:
            return
        await warm_up(stage, self.rate, self.warm_up_s)
        stage.enter("all read", self.duration_s)
        await stage.publish(self.rate, self.duration_s)
        before = await stage.drain()
        put_times(stage, "before_", "latency while all read", before.latency)
        if not stage.interrupted:
            await self._without(stage)
        for part in ("p50", "p99"):
            now, then = values.get(f"{part}_ms"), values.get(f"before_{part}_ms")
            values[f"{part}_ratio"] = now / then if now and then else None

    async def _without(self, stage: Stage) -> None:
        """Send while some do not read, and see what becomes of them."""
        values = stage.findings.figures
        counted = await stage.sample()
        await stage.set_reading(reading=False)
        stage.enter(f"{self.slow} do not read", self.duration_s)
        before = stage.processes.totals().sent
        async with stage.measured():
            seconds = await stage.publish(self.rate, self.duration_s)
        others = await stage.drain(with_slow=False)
        put_messages(stage, others, seconds, stage.processes.totals().sent - before)
        after = await stage.sample()
        if counted is not None and after is not None:
            values["slow_consumers"] = after.slow_consumers - counted.slow_consumers
        stage.enter("the slow ones read again")
        await stage.set_reading(reading=True)
        drained = await stage.drain()
        values["slow_let_go"] = sum(count for fate, count in drained.fates.items() if fate != STAYED)
        values["slow_missing"] = sum(each.account.missing for each in drained.accounts if each.slow)
        fates = ", ".join(f"{count} {fate}" for fate, count in sorted(drained.fates.items()))
        stage.findings.notes.append(f"Of the clients that stopped to read: {fates}.")
