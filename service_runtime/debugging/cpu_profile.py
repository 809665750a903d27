"""A CPU profile of this process: looks, from a thread of its own, at where all other threads stand and what each has used.

A look counts for a stack what its thread has used of the CPU since the look before, in microseconds, so a thread that waits
counts nothing. The profiled code is not touched, and not slowed down where nobody looks; code without Python frames counts for
the function that called it. Threads give the interpreter up every five milliseconds at most, and most turns of an event loop
are shorter: while a profile is taken they are asked to do so much sooner, or a look would mostly find them where they wait.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from service_runtime.debugging.places import place

INTERVAL_S: Final = 0.005
SWITCH_INTERVAL_S: Final = 0.000_05
MAX_DEPTH: Final = 128
MAX_STACKS: Final = 20_000
OTHER_STACKS: Final = "(stacks beyond the bound)"


def take_profile(seconds: float, stop: threading.Event, interval_s: float = INTERVAL_S) -> Counter[str]:
    """Return the microseconds of CPU of each stack: `thread;outermost (file:line);...;innermost (file:line)`.

    Args:
        seconds: For how long.
        stop: Ends it earlier.
        interval_s: Between two looks, in seconds.
    """
    used: Counter[str] = Counter()
    before_us: dict[int, int] = {}
    end_s = time.monotonic() + seconds
    with _quick_switches():
        while not stop.wait(interval_s) and time.monotonic() < end_s:
            _look(used, before_us)
    return used


def collapsed(used: Counter[str]) -> str:
    """Return a profile in the form that flame graphs are made of: a stack, a blank, a number, one stack a line."""
    return "".join(f"{stack} {microseconds}\n" for stack, microseconds in used.most_common())


@contextmanager
def _quick_switches() -> Iterator[None]:
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual_s)


def _look(used: Counter[str], before_us: dict[int, int]) -> None:
    """Look once at all threads but this one."""
    frames = sys._current_frames()
    del frames[threading.get_ident()]
    stacks = [
        (thread.native_id, _stack(thread.name, frame))
        for thread in threading.enumerate()
        if thread.native_id is not None and (frame := frames.get(thread.ident or 0)) is not None
    ]
    for thread_id, stack in stacks:
        now_us = _cpu_us(thread_id)
        spent_us = now_us - before_us.get(thread_id, now_us)
        before_us[thread_id] = now_us
        if spent_us > 0:
            used[stack if stack in used or len(used) < MAX_STACKS else OTHER_STACKS] += spent_us


def _stack(name: str, frame: FrameType | None) -> str:
    places: list[str] = []
    while frame is not None and len(places) < MAX_DEPTH:
        places.append(place(frame))
        frame = frame.f_back
    return ";".join((name, *reversed(places)))


def _cpu_us(thread_id: int) -> int:
    """Return what a thread has used of the CPU, in microseconds.

    Not by `pthread_getcpuclockid`: that is undefined for a thread that has just ended.

    Returns:
        0 for a thread that is gone. Where the system does not say (it is not Linux), the time that has passed: then the
        profile shows where threads stand, whether they work or wait.
    """
    try:
        return int(Path(f"/proc/self/task/{thread_id}/schedstat").read_bytes().split()[0]) // 1000
    except OSError:
        return 0 if Path("/proc/self/task").exists() else time.monotonic_ns() // 1000
