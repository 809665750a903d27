"""A CPU profile: what works counts, what waits does not."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PosixPath

import pytest

from service_runtime.debugging import cpu_profile
from service_runtime.debugging.cpu_profile import MAX_STACKS, OTHER_STACKS, collapsed, take_profile

ON_LINUX = Path("/proc/self/task").exists()
LONG_S = 60.0


def work_hard(stop: threading.Event) -> None:
    while not stop.is_set():
        sum(range(100))


def wait_idly(stop: threading.Event) -> None:
    stop.wait()


@contextmanager
def working() -> Iterator[None]:
    """Run one thread that works, and one that waits."""
    stop = threading.Event()
    threads = [threading.Thread(target=run, args=[stop], name=run.__name__) for run in (work_hard, wait_idly)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def profile_until(found: str) -> Counter[str]:
    """Return a profile that holds a text, taken for as long as that needs."""
    end_s = time.monotonic() + LONG_S
    used: Counter[str] = Counter()
    while not any(found in stack for stack in used) and time.monotonic() < end_s:
        used += take_profile(0.2, threading.Event())
    return used


@pytest.mark.skipif(not ON_LINUX, reason="only Linux says what a thread has used")
def test_what_works_counts_and_what_waits_does_not() -> None:
    with working():
        used = profile_until("work_hard (")
    hard = [stack for stack in used if stack.startswith("work_hard;")]
    assert hard
    assert any("work_hard (tests/unit/service_runtime/debugging/test_cpu_profile.py:" in stack for stack in hard)
    assert not [stack for stack in used if stack.startswith("wait_idly;")]
    assert sum(used[stack] for stack in hard) > 1000


def test_where_the_system_says_nothing_the_time_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoFiles(PosixPath):
        def read_bytes(self) -> bytes:
            raise FileNotFoundError

        def exists(self, **_: bool) -> bool:
            return False

    monkeypatch.setattr(cpu_profile, "Path", NoFiles)
    with working():
        used = profile_until("wait_idly (")
    assert [stack for stack in used if stack.startswith("wait_idly;")]


def test_the_profiler_does_not_see_itself_and_leaves_the_interpreter_as_it_was() -> None:
    before_s = sys.getswitchinterval()
    with working():
        used = profile_until("work_hard (")
    assert not [stack for stack in used if "take_profile" in stack]
    assert sys.getswitchinterval() == before_s


def test_a_profile_can_be_ended() -> None:
    stop = threading.Event()
    stop.set()
    assert take_profile(LONG_S * 60, stop) == Counter()


def test_the_form_is_that_of_flame_graphs() -> None:
    assert collapsed(Counter({"t;a;b": 5, "t;a": 7})) == "t;a 7\nt;a;b 5\n"


@pytest.mark.skipif(not ON_LINUX, reason="only Linux says what a thread has used")
def test_stacks_are_bounded_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_profile, "MAX_STACKS", 0)
    assert MAX_STACKS > 0
    with working():
        used = profile_until(OTHER_STACKS)
    assert set(used) == {OTHER_STACKS}
