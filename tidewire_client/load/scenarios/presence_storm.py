"""`presence-storm`: many join a channel at once, and leave it at once, before those who watch it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tidewire_client.load.figures import COMMON, Figure, times
from tidewire_client.load.histogram import Histogram
from tidewire_client.load.ledger import Sent
from tidewire_client.load.plan import ClientPlan
from tidewire_client.load.scenarios.base import Limits, put_times
from tidewire_client.load.stage import Stage


@dataclass(frozen=True)
class PresenceStorm:
    """Members that come and go, each change told to each watcher once.

    Args:
        members: How many come and go.
        watchers: How many watch.
        rounds: How often.
    """

    members: int
    watchers: int
    rounds: int

    name: str = "presence-storm"
    publishes: bool = False
    figures: Sequence[Figure] = (
        *COMMON,
        Figure("expected", "", "presence updates that watchers were to get", None),
        Figure("received", "", "of these that came, each counted once", None),
        Figure("missing", "", "that did not come"),
        Figure("duplicated", "", "that came again"),
        Figure("out_of_order", "", "that came after a later one"),
        Figure("updates_per_s", "/s", "presence updates delivered a second, while there were any", False),
        Figure("round_s", "s", "from the beginning of a round until the last answer, the longest of all rounds"),
        *times("", "from when all joined or left until a watcher was told of one of them"),
        *times("answer_", "from when all joined or left until one of them had its answer"),
    )

    @property
    def clients(self) -> int:
        """How many connections it holds at the same time."""
        return self.members + self.watchers

    def check(self, limits: Limits) -> None:
        """Nothing of it is limited by connection."""

    async def play(self, stage: Stage) -> None:
        """Connect all, then have the members come and go."""
        channel = stage.channel(0)
        hears = tuple(range(self.watchers, self.clients))
        plans = [ClientPlan(number, (channel,), hears=hears, watches=True) for number in range(self.watchers)]
        plans += [ClientPlan(number) for number in hears]
        stage.enter("connecting")
        await stage.open(plans)
        latency, answers, busy_s, longest_s = Histogram(), Histogram(), 0.0, 0.0
        for phase in range(2 * self.rounds):
            if stage.interrupted:
                break
            stage.enter(f"round {phase // 2 + 1}: all {'leave' if phase % 2 else 'join'}")
            async with stage.measured():
                changed = await stage.change_membership(channel, phase)
                if stage.interrupted and not changed.done:
                    break
                stage.expect({number: Sent(phase + 1) for number in hears})
                told = (await stage.drain()).latency
            latency.add(told)
            answers.add(changed.times)
            longest_s = max(longest_s, changed.seconds)
            busy_s += told.largest_us / 1e6
        if busy_s:
            stage.findings.figures["updates_per_s"] = latency.count / busy_s
        stage.findings.figures["round_s"] = longest_s or None
        put_times(stage, "", "presence updates", latency)
        put_times(stage, "answer_", "answers", answers)
