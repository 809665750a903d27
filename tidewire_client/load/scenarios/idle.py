"""`idle`: clients that only stay: what one costs in memory, and whether all are still there in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tidewire_client.load.figures import COMMON, Figure, times
from tidewire_client.load.plan import ClientPlan
from tidewire_client.load.scenarios.base import Limits, put_times
from tidewire_client.load.stage import Stage


@dataclass(frozen=True)
class Idle:
    """Clients that are connected and authenticated, and send nothing.

    Args:
        clients: How many.
        hold_s: How long all stay, in seconds.
        at_once: How many are under way at the same time while they connect.
        channels: They are spread over so many; 0: none joins any.
    """

    clients: int
    hold_s: float
    at_once: int
    channels: int

    name: str = "idle"
    publishes: bool = False
    figures: Sequence[Figure] = (
        *COMMON,
        Figure("memory_before_bytes", "bytes", "memory of the services before anybody connected", None),
        Figure("memory_after_bytes", "bytes", "memory of the services when all had stayed for a while", None),
        Figure("memory_per_connection_bytes", "bytes", "what one connection added to the memory of the services"),
        *times("connect_", "from when a client began to connect until it was authenticated"),
    )

    def check(self, limits: Limits) -> None:
        """Nothing of it is limited by connection."""

    async def play(self, stage: Stage) -> None:
        """Connect all, and hold them."""
        values = stage.findings.figures
        before = await stage.sample()
        plans = [
            ClientPlan(number, (stage.channel(number % self.channels),) if self.channels else ())
            for number in range(self.clients)
        ]
        stage.enter("connecting")
        opened = await stage.open(plans, at_once=self.at_once)
        put_times(stage, "connect_", "connecting", opened.times)
        stage.enter("holding", self.hold_s)
        async with stage.measured():
            await stage.wait(self.hold_s)
        after = await stage.sample()
        if before is None or after is None:
            if not stage.services.known:
                stage.findings.notes.append("Memory was not measured: name the metrics of the services with --metrics.")
            return
        values["memory_before_bytes"], values["memory_after_bytes"] = before.memory_bytes, after.memory_bytes
        still = stage.processes.totals().open
        if still:
            values["memory_per_connection_bytes"] = (after.memory_bytes - before.memory_bytes) / still
