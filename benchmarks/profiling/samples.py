"""Samples of py-spy, folded: which functions a process was in while it did something."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

# A library is one room, whatever folders it has.
_LIBRARIES: Final = ("asyncio", "grpc", "aiohttp", "google", "redis", "prometheus_client", "concurrent", "uvloop")
_PYTHON: Final = re.compile(r"(?P<function>.+) \((?P<file>[^()]*\.py|<[^()]*>):\d+\)")
_SYSTEM: Final = re.compile(r"(?P<call>\w+) \(libc[^()]*\)")
# Where threads wait: for sockets, the disk, and (libc gives that function no name) for locks, the interpreter's among them.
_WAITS: Final = re.compile(r"(epoll_wait|epoll_pwait|poll|select|nanosleep|fsync|fdatasync|0x[0-9a-f]+) \(libc[^()]*\)")


@dataclass
class Samples:
    """How often a process was seen where, in threads that did not wait.

    Attributes:
        total: All samples.
        places: By innermost Python function, as `file: function`: what is written in C counts for the Python that called it.
        rooms: By the folder of that file; a library is one room.
        calls: By system call, if it was in one.
    """

    total: int = 0
    places: Counter[str] = field(default_factory=Counter)
    rooms: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)


def samples(lines: Iterable[str]) -> Samples:
    """Return what `py-spy record --native --format raw` has written.

    Args:
        lines: Each `outer (file:line);inner (file:line) count`, functions written in C among them.
    """
    found = Samples()
    for line in lines:
        stack, _, words = line.rpartition(" ")
        frames = stack.split(";")
        if not stack or _WAITS.fullmatch(frames[-1]):
            continue
        count = int(words)
        place, room = _innermost_python(frames)
        found.total += count
        found.places[place] += count
        found.rooms[room] += count
        if call := _SYSTEM.fullmatch(frames[-1]):
            found.calls[call["call"]] += count
    return found


def _innermost_python(frames: Sequence[str]) -> tuple[str, str]:
    for frame in reversed(frames):
        if python := _PYTHON.fullmatch(frame):
            file, function = python["file"], python["function"]
            if file == "asyncio/runners.py":  # all that uvloop does itself is called from there
                return "uvloop: the event loop", "uvloop"
            return f"{file}: {function}", _room(file)
        if "cygrpc" in frame:
            return "grpc: its own threads", "grpc"
    return "threads without Python", "threads without Python"


def _room(file: str) -> str:
    first = file.partition("/")[0]
    return first if first in _LIBRARIES else file.rpartition("/")[0] or file
