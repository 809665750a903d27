"""`connect`: how quickly clients are let in, and how quickly all are back when all lose their connection at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tidewire_client.load.figures import COMMON, Figure, times
from tidewire_client.load.plan import ClientPlan
from tidewire_client.load.scenarios.base import Limits, put_times
from tidewire_client.load.stage import Stage


@dataclass(frozen=True)
class Connect:
    """Clients that connect and authenticate, and come back after a storm.

    Args:
        clients: How many.
        rate: So many a second; 0: as quickly as it goes.
        at_once: How many are under way at the same time, if there is no rate.
        storm: Afterwards all are cut at once.
    """

    clients: int
    rate: float
    at_once: int
    storm: bool

    name: str = "connect"
    publishes: bool = False
    figures: Sequence[Figure] = (
        *COMMON,
        Figure("connects_per_s", "/s", "clients connected and authenticated a second", False),
        *times("connect_", "from when a client was due to connect until it was authenticated"),
        Figure("storm_s", "s", "from the cut of all connections until the last client was authenticated again"),
        Figure("storm_per_s", "/s", "clients that came back a second, in that time", False),
        *times("back_", "from the cut until a client was authenticated again"),
    )

    def check(self, limits: Limits) -> None:
        """Nothing of it is limited by connection."""

    async def play(self, stage: Stage) -> None:
        """Connect all, then cut all."""
        values = stage.findings.figures
        plans = [ClientPlan(number) for number in range(self.clients)]
        stage.enter("connecting", self.clients / self.rate if self.rate else None)
        async with stage.measured():
            opened = await stage.open(plans, self.rate, self.at_once)
        if opened.done:
            values["connects_per_s"] = opened.done / opened.seconds
        put_times(stage, "connect_", "connecting", opened.times)
        if not self.storm or stage.interrupted:
            return
        stage.enter("storm: all are cut, and come back")
        async with stage.measured():
            back = await stage.storm()
        if back.done:
            values["storm_s"] = back.seconds
            values["storm_per_s"] = back.done / back.seconds
        put_times(stage, "back_", "coming back", back.times)
