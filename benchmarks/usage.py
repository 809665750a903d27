"""What processes use, by the operating system's books: CPU seconds and memory, with everything that they started."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")


def family(roots: Iterable[int]) -> set[int]:
    """Return the processes `roots` and all that descend from them and run."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def by_part(roots: Mapping[str, int]) -> dict[str, set[int]]:
    """Return the processes of each part; a process that descends from several belongs to the nearest.

    Args:
        roots: The first process of each part, by name.
    """
    families = {name: family([pid]) for name, pid in roots.items()}
    others = {name: [pid for other, pid in roots.items() if other != name] for name in roots}
    return {
        name: members - family([pid for pid in others[name] if pid in members and pid != roots[name]])
        for name, members in families.items()
    }


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time, in user and kernel mode, that processes have used since they began.

    It is the kernel's exact sum, given in ticks of 10 ms: what is measured should take a second or more.
    """
    ticks = 0
    for pid in pids:
        if fields := _stat(pid):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_A_SECOND


@dataclass(frozen=True)
class Cpu:
    """CPU time of one process, in seconds.

    Attributes:
        user_s: In user mode.
        kernel_s: In kernel mode.
    """

    user_s: float
    kernel_s: float

    @property
    def whole_s(self) -> float:
        """Of both."""
        return self.user_s + self.kernel_s

    def since(self, before: Cpu) -> Cpu:
        """Return what was used since an earlier look."""
        return Cpu(self.user_s - before.user_s, self.kernel_s - before.kernel_s)


def cpu_times(pid: int) -> Cpu:
    """Return the CPU time that a process has used since it began; nothing if there is no such process."""
    fields = _stat(pid)
    return Cpu(int(fields[11]) / _TICKS_A_SECOND, int(fields[12]) / _TICKS_A_SECOND) if fields else Cpu(0.0, 0.0)


def memory_kb(pids: Iterable[int]) -> float:
    """Return the memory of processes in KB: their own pages, and their share of those that they share (PSS)."""
    return float(sum(_rollup(pid).get("Pss", 0) for pid in pids))


def resident_kb(pids: Iterable[int]) -> float:
    """Return the resident memory of processes in KB (RSS); pages that they share count for each."""
    return float(sum(_rollup(pid).get("Rss", 0) for pid in pids))


def _rollup(pid: int) -> dict[str, int]:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/<pid>/stat from the third (the state) on; None if there is no such process."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
