"""`soak`: rooms with clients that come and go, for a long time: does memory or latency grow?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tidewire_client.load.figures import COMMON, MESSAGES, Figure, times
from tidewire_client.load.plan import ClientPlan
from tidewire_client.load.scenarios.base import Limits, check_publisher, put_messages, put_times
from tidewire_client.load.scenarios.traffic import channel_plans, spread
from tidewire_client.load.stage import Stage
from tidewire_client.load.timeline import growth_percent


@dataclass(frozen=True)
class Soak:
    """Rooms in which one publishes, and others leave and come back where they had left.

    Args:
        rooms: How many.
        members: Of each; one publishes.
        rate: Messages a second of each room.
        churn_per_s: Clients a second, of all, that are cut and come back.
        duration_s: How long, in seconds.
        warm_up_s: At its beginning, of which growth is not told, in seconds.
        size: Characters of each message.
    """

    rooms: int
    members: int
    rate: float
    churn_per_s: float
    duration_s: float
    warm_up_s: float
    size: int

    name: str = "soak"
    publishes: bool = True
    figures: Sequence[Figure] = (
        *COMMON,
        *MESSAGES,
        Figure("reconnected", "", "times that a client came back", None),
        *times("back_", "from when a client lost its connection until it was back in its room"),
        Figure("memory_growth_percent", "%", "of the services, from the first third of the time to the last"),
        Figure("p50_growth_percent", "%", "of the latency of half, from the first third of the time to the last"),
        Figure("p99_growth_percent", "%", "of the latency of 99 %, from the first third of the time to the last"),
    )

    @property
    def clients(self) -> int:
        """How many connections it holds at the same time."""
        return self.rooms * self.members

    def check(self, limits: Limits) -> None:
        """Refuse what the edge would refuse."""
        check_publisher(limits, self.rate, self.size, "use more --rooms")

    async def play(self, stage: Stage) -> None:
        """Connect all, send and churn, then look at how it went over time."""
        plans: list[ClientPlan] = []
        for number in range(self.rooms):
            plans += channel_plans(stage, number, number * self.members, self.members, 1, self.size)
        stage.enter("connecting")
        await stage.open(spread(plans))
        if stage.interrupted:
            return
        stage.enter("soaking", self.duration_s)
        began_s = stage.elapsed_s
        before = stage.processes.totals().sent
        async with stage.measured():
            seconds = await stage.publish(self.rate, self.duration_s, self.churn_per_s)
        ended_s = stage.elapsed_s
        stage.enter("waiting for the last messages")
        drained = await stage.drain()
        put_messages(stage, drained, seconds, stage.processes.totals().sent - before)
        put_times(stage, "back_", "coming back", stage.back)
        stage.findings.figures["reconnected"] = stage.processes.totals().reconnected
        self._put_growth(stage, began_s + self.warm_up_s, ended_s)

    def _put_growth(self, stage: Stage, begin_s: float, end_s: float) -> None:
        step_s = stage.timeline.step_s
        points = [
            point
            for number, point in enumerate(stage.timeline.points)
            if number * step_s >= begin_s and (number + 1) * step_s <= end_s
        ]
        values = stage.findings.figures
        values["memory_growth_percent"] = growth_percent([point.memory_bytes for point in points])
        values["p50_growth_percent"] = growth_percent([point.latency.quantile_ms(0.5) for point in points])
        values["p99_growth_percent"] = growth_percent([point.latency.quantile_ms(0.99) for point in points])
        if values["p50_growth_percent"] is None:
            stage.findings.notes.append("It was too short to say anything of growth.")
        if not stage.services.known:
            stage.findings.notes.append("Memory was not measured: name the metrics of the services with --metrics.")
