"""Looks at all objects: when, and how often."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest

from service_runtime import garbage
from service_runtime.tasks import end_tasks


class World:
    """A clock that collections move on, and sleeps that take no time; `looks` are the moments of collections."""

    def __init__(self, took_s: float, grown: Iterator[bool]) -> None:
        self.now_s = 0.0
        self.looks: list[float] = []
        self._took_s = took_s
        self._grown = grown
        self.over = asyncio.Event()

    async def sleep(self, pause_s: float) -> None:
        self.now_s += pause_s
        if self.over.is_set():
            await asyncio.Future()

    def collect(self) -> None:
        self.looks.append(self.now_s)
        self.now_s += self._took_s

    def has_grown(self) -> bool:
        grown = next(self._grown, None)
        if grown is None:
            self.over.set()
        return bool(grown)


async def looks(monkeypatch: pytest.MonkeyPatch, took_s: float, grown: list[bool]) -> list[float]:
    world = World(took_s, iter(grown))
    monkeypatch.setattr(garbage.asyncio, "sleep", world.sleep)  # type: ignore[attr-defined]
    task = asyncio.create_task(
        garbage.collect_at_times(
            interval_s=5.0, collect=world.collect, has_grown=world.has_grown, now=lambda: world.now_s
        )
    )
    await world.over.wait()
    monkeypatch.undo()
    await end_tasks(task)
    return world.looks


async def test_all_objects_are_looked_at_when_some_became_old(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await looks(monkeypatch, 0.0, [False, True, False, False, True]) == [10.0, 25.0]


async def test_what_takes_long_is_done_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    # One second each, of which fifty must pass between two.
    assert await looks(monkeypatch, 1.0, [True, True, True]) == [5.0, 56.0, 107.0]


async def test_where_nothing_begins_a_look_is_taken_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = 5.0 * (garbage.SKIPPED_AT_MOST + 1)
    assert await looks(monkeypatch, 0.0, [False] * garbage.SKIPPED_AT_MOST) == [waited]


PROGRAM = """
import gc
from service_runtime.garbage import GROWN_BY_GROUPS, YOUNG_OBJECTS, grown, spare_what_is_there

spare_what_is_there()
assert gc.isenabled() and gc.get_freeze_count() > 1000
assert not grown()
kept = [[] for _ in range(YOUNG_OBJECTS * (GROWN_BY_GROUPS + 1))]
assert grown()
gc.collect()
assert not grown()
"""


def test_what_is_there_at_the_start_is_spared_and_what_becomes_old_is_counted() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
