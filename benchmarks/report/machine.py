"""The machine that was measured on, and whether it had something else to do."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

# Load (processes that run or want to) over which figures say little about a server.
_QUIET_LOAD: Final = 0.5


@dataclass(frozen=True)
class Machine:
    """A machine at a moment.

    Args:
        cpu: Its name.
        cores: That may be used.
        memory_gb: Of it.
        kernel: Its release.
        load: Of the last minute.
        measured_at: When, in UTC.
    """

    cpu: str
    cores: int
    memory_gb: float
    kernel: str
    load: float
    measured_at: str

    @property
    def words(self) -> str:
        """The machine in a line."""
        return f"{self.measured_at[:10]}, {self.cores} x {self.cpu}, {self.memory_gb:.0f} GB, Linux {self.kernel}"

    @property
    def busy(self) -> bool:
        """Whether something else ran."""
        return self.load > _QUIET_LOAD


def this_machine() -> Machine:
    """Return this machine as it is now."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=pages / 2**30,
        kernel=platform.release(),
        load=os.getloadavg()[0],
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
