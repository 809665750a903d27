"""Looks for cycles: when, how often, and at what."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable

import pytest

from service_runtime import garbage
from service_runtime.tasks import end_tasks


class World:
    """A clock that looks move on, and sleeps that take no time; `looks` are the moments of looks."""

    def __init__(self, took_s: float, end_s: float, grown: Callable[[float], bool]) -> None:
        self.now_s = 0.0
        self.new: list[float] = []
        self.everything: list[float] = []
        self._took_s = took_s
        self._end_s = end_s
        self._grown = grown
        self.over = asyncio.Event()

    async def sleep(self, pause_s: float) -> None:
        self.now_s += pause_s
        if self.now_s > self._end_s:
            self.over.set()
            await asyncio.Future()

    def look(self, looks: list[float]) -> None:
        looks.append(self.now_s)
        self.now_s += self._took_s

    def has_grown(self) -> bool:
        return self._grown(self.now_s)


async def looked(
    monkeypatch: pytest.MonkeyPatch, end_s: float, *, took_s: float = 0.0, grown: Callable[[float], bool]
) -> World:
    world = World(took_s, end_s, grown)
    monkeypatch.setattr(garbage.asyncio, "sleep", world.sleep)  # type: ignore[attr-defined]
    task = asyncio.create_task(
        garbage.collect_at_times(
            new=lambda: world.look(world.new),
            everything=lambda: world.look(world.everything),
            has_grown=world.has_grown,
            now=lambda: world.now_s,
        )
    )
    await world.over.wait()
    monkeypatch.undo()
    await end_tasks(task)
    return world


async def test_what_became_old_is_looked_at_when_it_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await looked(monkeypatch, 30.0, grown=lambda now_s: now_s in (10.0, 25.0))
    assert (world.new, world.everything) == ([10.0, 25.0], [])


async def test_what_takes_long_is_done_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    # One second each, of which fifty must pass between two.
    world = await looked(monkeypatch, 110.0, took_s=1.0, grown=lambda now_s: True)
    assert world.new == [5.0, 56.0, 107.0]


async def test_all_is_looked_at_rarely_and_the_longer_it_takes_the_more_so(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await looked(monkeypatch, 1000.0, grown=lambda now_s: False)
    assert (world.new, world.everything) == ([], [300.0, 600.0, 900.0])
    # Two seconds are a thousandth of 2,000.
    world = await looked(monkeypatch, 2400.0, took_s=2.0, grown=lambda now_s: False)
    assert world.everything == [300.0, 2302.0]


PROGRAM = """
import gc
import weakref
from service_runtime.garbage import GROWN_BY_GROUPS, YOUNG_OBJECTS, grown, look_at_all, look_at_new, spare_what_is_there

spare_what_is_there()
assert gc.isenabled() and gc.get_freeze_count() > 1000
assert not grown()
kept = [[] for _ in range(YOUNG_OBJECTS * (GROWN_BY_GROUPS + 1))]
assert grown()


class Cycle:
    def __init__(self):
        self.itself = self


lost = weakref.ref(Cycle())
spared = Cycle()
look_at_new()
assert not grown() and lost() is None and gc.get_freeze_count() > len(kept)
seen = weakref.ref(spared)
del spared
look_at_new()
assert seen() is not None
look_at_all()
assert seen() is None
"""


def test_what_is_there_at_the_start_or_survives_a_look_is_spared_until_all_is_looked_at() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
