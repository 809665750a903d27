"""One run as a scenario sees it: it says what is to happen, and is told what came of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from tidewire_client.load.fleet import Fleet
from tidewire_client.load.histogram import Histogram
from tidewire_client.load.ledger import Sent
from tidewire_client.load.load_processes import LoadProcesses
from tidewire_client.load.plan import (
    ClientPlan,
    Command,
    Done,
    Drain,
    Drained,
    Membership,
    Open,
    Opened,
    Publish,
    Published,
    SetReading,
    Storm,
    Target,
    Tick,
)
from tidewire_client.load.schedule import share
from tidewire_client.load.services import Sample, Services
from tidewire_client.load.timeline import Timeline

# Until every process has been told what is to happen at one moment.
LEAD_S: Final = 0.3


@dataclass(slots=True)
class Findings:
    """What a scenario has found.

    Attributes:
        figures: By name.
        histograms: By what they are times of.
        notes: What else is to be said, in sentences.
        drained: How it stood with messages in the end; None: there were none.
    """

    figures: dict[str, float | None] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    drained: Drained | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Something that many clients were to do.

    Attributes:
        done: How many did.
        seconds: From its beginning until the last did.
        times: From when each was due.
    """

    done: int
    seconds: float
    times: Histogram


class Stage:
    """A run.

    Args:
        target: Where the load goes.
        fleet: Of load processes.
        services: Whose metrics are asked for.
        processes: What the load processes say of themselves.
        timeline: What happened when.
        prefix: With which channels begin.
    """

    def __init__(
        self,
        target: Target,
        fleet: Fleet,
        services: Services,
        processes: LoadProcesses,
        timeline: Timeline,
        prefix: str,
    ) -> None:
        self.target = target
        self.services = services
        self.processes = processes
        self.timeline = timeline
        self.findings = Findings()
        self.start_s = time.monotonic()
        self.phase = "starting"
        self.phase_end_s: float | None = None
        self.marks: list[tuple[float, str]] = []
        self.interrupted = False
        self._interruption = asyncio.Event()
        self.failed = 0
        self.back = Histogram()
        self._fleet = fleet
        self._prefix = prefix
        self._sent: dict[int, Sent] = {}
        self._measured_s = 0.0
        self._services_cpu_s = 0.0

    # What scenarios use.

    def channel(self, number: int) -> str:
        """Return the name of a channel of this run."""
        return f"{self._prefix}-{self.target.run}-{number}"

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.start_s

    def enter(self, phase: str, seconds: float | None = None) -> None:
        """Say what happens from now on, and for how long, if that is known."""
        self.phase = phase
        now_s = time.monotonic()
        self.phase_end_s = None if seconds is None else now_s + seconds
        self.marks.append((now_s - self.start_s, phase))

    async def open(self, plans: Sequence[ClientPlan], rate: float = 0.0, at_once: int = 64) -> Step:
        """Connect clients.

        Args:
            plans: All of them.
            rate: So many a second; 0: as soon as there is room.
            at_once: How many at the same time, if there is no rate.
        """
        size, start_s = self._fleet.size, time.monotonic() + LEAD_S
        commands: list[Command] = []
        for part in range(size):
            mine = share(len(plans), size, part)
            due = tuple(start_s + number / rate for number in mine) if rate else ()
            commands.append(Open(tuple(plans[number] for number in mine), due, max(1, at_once // size)))
        return await self._step(commands, start_s)

    async def storm(self) -> Step:
        """Cut all connections at once, and have all come back."""
        start_s = time.monotonic() + LEAD_S
        return await self._step([Storm(start_s)] * self._fleet.size, start_s)

    async def change_membership(self, channel: str, phase: int) -> Step:
        """Have all that do not watch join a channel (even phases), or leave it, at once."""
        start_s = time.monotonic() + LEAD_S
        return await self._step([Membership(start_s, phase, channel)] * self._fleet.size, start_s)

    async def publish(self, rate: float, duration_s: float, churn_per_s: float = 0.0) -> float:
        """Have each publisher send; return how long it went on, in seconds.

        Args:
            rate: Messages a second of each.
            duration_s: In seconds.
            churn_per_s: Clients a second that are cut and come back.
        """
        size, start_s = self._fleet.size, time.monotonic() + LEAD_S
        commands = [Publish(start_s, rate, duration_s, churn_per_s / size)] * size
        for answer in await self._fleet.ask(commands, Published):
            self._sent.update(answer.sent)
        return min(duration_s, max(0.001, time.monotonic() - start_s))

    async def wait(self, seconds: float) -> None:
        """Let time go by, unless the run is interrupted."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._interruption.wait()

    def expect(self, sent: dict[int, Sent]) -> None:
        """Say what was sent, where it is no published messages."""
        self._sent.update(sent)

    async def drain(self, *, with_slow: bool = True) -> Drained:
        """Wait until all that was sent has come, or the time for that is over."""
        commands = [Drain(self._sent, self.target.timeout_s, with_slow)] * self._fleet.size
        answers = await self._fleet.ask(commands, Drained)
        fates: Counter[str] = Counter()
        for answer in answers:
            fates.update(answer.fates)
        drained = Drained(
            tuple(sorted((each for a in answers for each in a.accounts), key=lambda each: each.number)),
            Histogram.of(a.latency for a in answers),
            Histogram.of(a.confirmation for a in answers),
            Histogram.of(a.catch_up for a in answers),
            Histogram.of(a.lateness for a in answers),
            sum(a.unanswered for a in answers),
            fates,
        )
        self.findings.drained = drained
        return drained

    async def set_reading(self, *, reading: bool) -> None:
        """Have the slow clients stop to read, or go on."""
        await self._fleet.ask([SetReading(reading)] * self._fleet.size, Done)

    @asynccontextmanager
    async def measured(self) -> AsyncIterator[None]:
        """What the body does is what is measured: the CPU time of the load and of the services counts."""
        before = await self.sample()
        self.processes.measure(on=True)
        try:
            yield
        finally:
            self.processes.measure(on=False)
        after = await self.sample()
        if before is not None and after is not None:
            self._measured_s += after.at_s - before.at_s
            self._services_cpu_s += max(0.0, after.cpu_s - before.cpu_s)

    async def sample(self) -> Sample | None:
        """Return what the services say now; None: nobody is asked, or not all answer."""
        found = await self.services.sample()
        if found is not None:
            self.on_sample(found)
        return found

    def on_sample(self, sample: Sample) -> None:
        """Take in what the services say."""
        self.timeline.at(sample.at_s).memory_bytes = sample.memory_bytes

    @property
    def services_cpu_percent(self) -> float | None:
        """Of a core, what all services used while it was measured."""
        return 100.0 * self._services_cpu_s / self._measured_s if self._measured_s else None

    # What the run uses.

    def on_tick(self, number: int, tick: Tick) -> None:
        """Take in what a load process says."""
        self.processes.take(number, tick)
        self.back.add(tick.back)

    def interrupt(self) -> None:
        """Come to an end with what is being done."""
        self.interrupted = True
        self._interruption.set()
        self._fleet.interrupt()

    async def _step(self, commands: Sequence[Command], start_s: float) -> Step:
        answers = await self._fleet.ask(commands, Opened)
        self.failed += sum(a.failed for a in answers)
        done = sum(a.done for a in answers)
        seconds = max(0.001, max(a.last_s for a in answers) - start_s) if done else 0.0
        return Step(done, seconds, Histogram.of(a.times for a in answers))
