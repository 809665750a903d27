"""What this process uses of the machine."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from pathlib import Path
from typing import Final

_PAGE_BYTES: Final = resource.getpagesize()
# For what is not a connection: pipes, libraries, the event loop.
_OTHER_DESCRIPTORS: Final = 64


def cpu_s() -> float:
    """Return the CPU time of this process, in seconds, user and system."""
    times = os.times()
    return times.user + times.system


def resident_bytes() -> int:
    """Return the memory of this process, in bytes; where the system does not say: the most that it ever was."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def raise_descriptor_limit() -> None:
    """Let this process open as many connections as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_connections() -> int | None:
    """Return how many connections a process may open; None: there is no bound."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if hard == resource.RLIM_INFINITY else max(0, hard - _OTHER_DESCRIPTORS)
