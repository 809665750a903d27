"""What is done to a system: nobody is spared, the same seed does the same, and everything is noted."""

from __future__ import annotations

import random

from tests.ledger.chaos import Chaos
from tests.ledger.system import Victim

BEAT_S = 5.0


class Process:
    """Notes what is done to it."""

    def __init__(self, name: str) -> None:
        self.done: list[str] = []
        self.running = True
        self.victim = Victim(name, lambda: self.running, self.crash, self.freeze, self.thaw, self.renew)

    def crash(self) -> None:
        self.running = True
        self.done.append("crash")

    def freeze(self) -> None:
        self.done.append("freeze")

    def thaw(self) -> None:
        self.done.append("thaw")

    def renew(self) -> None:
        self.done.append("renew")


class Time:
    """Goes on only when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now_s += max(0.0, seconds)


def chaos(seed: int = 1) -> Chaos:
    time = Time()
    return Chaos(lambda: time.now_s, random.Random(seed), time.sleep)


def processes(count: int = 4) -> list[Process]:
    return [Process(f"p-{number}") for number in range(count)]


async def kill(made: Chaos, targets: list[Process], beats: int, at_once: int = 1, freeze_s: float = 0.0) -> list[str]:
    """Return who was killed or frozen."""
    await made.kill([process.victim for process in targets], BEAT_S, at_once, freeze_s, beats * BEAT_S)
    return [event.whom for event in made.events]


async def test_all_are_killed_before_one_is_killed_again() -> None:
    killed = await kill(chaos(), processes(), 8)
    assert len(killed) == 8
    assert set(killed[:4]) == set(killed[4:8]) == {"p-0", "p-1", "p-2", "p-3"}


async def test_the_same_seed_does_the_same() -> None:
    first, again, other = [await kill(chaos(seed), processes(50), 8) for seed in (1, 1, 2)]
    assert first == again != other


async def test_several_at_once() -> None:
    made = chaos()
    await kill(made, processes(), 2, at_once=3)
    assert [event.at_s for event in made.events] == [5.0] * 3 + [10.0] * 3


async def test_when_time_is_over_those_who_were_spared_are_still_killed() -> None:
    assert sorted(await kill(chaos(), processes(), 1)) == ["p-0", "p-1", "p-2", "p-3"]


async def test_every_second_time_is_a_freeze() -> None:
    made, targets = chaos(), processes()
    await kill(made, targets, 4, freeze_s=1.0)
    assert [(event.what, event.at_s, event.back_s) for event in made.events] == [
        ("kill", 5.0, 5.0),
        ("freeze", 10.0, 11.0),
        ("kill", 15.0, 15.0),
        ("freeze", 20.0, 21.0),
    ]
    assert sum(process.done.count("thaw") for process in targets) == 2


async def test_a_beat_that_passes_by_meanwhile_is_left_out() -> None:
    made = chaos()
    await kill(made, processes(), 6, freeze_s=7.0)
    assert [event.at_s for event in made.events] == [5.0, 10.0, 20.0, 25.0]


async def test_who_fell_by_himself_is_raised_and_noted() -> None:
    made, targets = chaos(), processes(2)
    targets[1].running = False
    await made.raise_the_fallen([process.victim for process in targets])
    assert [(event.what, event.whom) for event in made.events] == [("fell", "p-1")]
    assert targets[1].running


async def test_each_is_renewed_once() -> None:
    made, targets = chaos(), processes()
    await made.renew([process.victim for process in targets], BEAT_S)
    assert [process.done for process in targets] == [["renew"]] * 4
    assert sorted((event.what, event.whom) for event in made.events) == [
        ("renew", f"p-{number}") for number in range(4)
    ]
    assert [event.at_s for event in made.events] == [BEAT_S * number for number in range(1, 5)]
