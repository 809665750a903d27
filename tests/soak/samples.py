"""Samples of what the services use: memory, open files, tasks, processor time; and how late messages come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.harness.cpu import cpu_s
from tests.soak.paired import quantile
from tests.soak.plan import ALLOWED_GROWTH, Plan
from tests.soak.trend import Finding, trend_of
from tests.stress.process_watch import MIB, open_files, resident_bytes
from tests.support.http_client import http_async
from tests.support.processes import ServiceProcess

# Growth that is none, whatever share it is.
MEMORY_FLOOR_MIB = 2.0
FILES_FLOOR = 3.0
TASKS_FLOOR = 3.0
CORES = "cores"
QUANTILES = {"median": 0.5, "p90": 0.9, "p99": 0.99}


@dataclass
class Series:
    """Everything that was sampled, by name; each sample with its time in seconds."""

    values: dict[tuple[str, str], list[tuple[float, float]]] = field(default_factory=dict)

    def add(self, name: str, unit: str, at_s: float, value: float) -> None:
        """Add one sample."""
        self.values.setdefault((name, unit), []).append((at_s, value))

    @property
    def newest(self) -> str:
        """The last sample of each, for people."""
        return ", ".join(f"{name} {points[-1][1]:.4g} {unit}" for (name, unit), points in self.values.items())


class Sampler:
    """Looks at services.

    Args:
        processes: Each with an admin port.
        api_key: With `admin:debug`.
        load: Other processes, of which only processor time is sampled.
    """

    def __init__(self, processes: Sequence[ServiceProcess], api_key: str, load: Mapping[str, int]) -> None:
        self._processes = processes
        self._load = load
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self.series = Series()
        # Processor time so far, and when it was read.
        self._used: dict[int, tuple[float, float]] = {}

    def pause(self) -> None:
        """Know that it will be a while until the next look: what is used meanwhile is no part of any sample."""
        self._used.clear()

    async def look(self, at_s: float, latencies_s: Sequence[float]) -> None:
        """Take a sample of everything.

        Args:
            at_s: Seconds since the beginning.
            latencies_s: That were measured since the last look.
        """
        for process in self._processes:
            name = process.module
            self.series.add(f"{name} memory", "MiB", at_s, resident_bytes(process.pid) / MIB)
            self.series.add(f"{name} open files", "files", at_s, open_files(process.pid))
            self.series.add(f"{name} tasks", "tasks", at_s, await self._tasks(process))
            self._look_at_processor(name, process.pid, at_s)
        for name, pid in self._load.items():
            self._look_at_processor(name, pid, at_s)
        if latencies_s:
            for name, share in QUANTILES.items():
                self.series.add(f"latency {name}", "ms", at_s, 1000 * quantile(latencies_s, share))

    def _look_at_processor(self, name: str, pid: int, at_s: float) -> None:
        used_s = cpu_s(pid)
        before = self._used.get(pid)
        self._used[pid] = (at_s, used_s)
        if before is not None:
            self.series.add(f"{name} processor", CORES, at_s, (used_s - before[1]) / (at_s - before[0]))

    async def _tasks(self, process: ServiceProcess) -> int:
        url = f"http://127.0.0.1:{process.facts['admin_port']}/debug/tasks?limit=1"
        answer = await http_async("GET", url, headers=self._headers)
        assert answer.status == 200, answer.body
        return int(answer.json()["total"])


def growth_of_series(series: Series, plan: Plan) -> list[Finding]:
    """Return what each series comes to, after the warm-up.

    Latency and processor time are only told: both go with the machine, which is not always as fast (`comparison.py` judges).
    """
    floors = {"MiB": MEMORY_FLOOR_MIB, "files": FILES_FLOOR, "tasks": TASKS_FLOOR, "ms": 0.0, CORES: 0.0}
    findings = []
    for (name, unit), points in series.values.items():
        trend = trend_of([point for point in points if point[0] >= plan.warm_up_s])
        findings.append(Finding(name, unit, trend, ALLOWED_GROWTH, floors[unit], judged=unit not in ("ms", CORES)))
    return findings
