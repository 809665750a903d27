"""Processor time of a process, as the kernel counts it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
# Positions behind the name of the program, which stands in brackets (proc(5), /proc/pid/stat).
USER, SYSTEM = 11, 12


def cpu_s(pid: int) -> float:
    """Return the seconds of processor time that all threads of a process have used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[USER]) + int(fields[SYSTEM])) / TICKS_PER_S
