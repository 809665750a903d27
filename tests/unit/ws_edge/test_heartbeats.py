"""Pings by one timer: each peer once in a heartbeat, and half of one to answer in."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from service_runtime.tasks import end_tasks
from ws_edge.adapters.heartbeats import GROUPS, Heartbeats


class FakePeer:
    def __init__(self, number: int = 0, *, answers: bool = True) -> None:
        self.heard = True
        self.number = number
        self.answers = answers
        self.pings: list[bytes] = []
        self.drops = 0
        self.pinged = asyncio.Event()

    def __hash__(self) -> int:
        return self.number

    def ping(self, frame: bytes) -> None:
        self.pings.append(frame)
        self.heard = self.answers
        self.pinged.set()

    def drop(self) -> None:
        self.drops += 1


def test_each_is_pinged_once_in_a_heartbeat_and_they_are_spread() -> None:
    beats = Heartbeats(25.0)
    peers = [FakePeer(number) for number in range(2 * GROUPS)]
    for peer in peers:
        beats.add(peer)
    at_once: Counter[int] = Counter()
    for turn in range(GROUPS):
        before = sum(len(peer.pings) for peer in peers)
        beats.beat(turn)
        at_once[sum(len(peer.pings) for peer in peers) - before] += 1
    assert at_once == {2: GROUPS}
    assert all(peer.pings == [b"\x89\x00"] and not peer.drops for peer in peers)


@pytest.mark.parametrize("number", [0, 1, GROUPS // 2, GROUPS - 1])
def test_who_says_nothing_for_half_a_heartbeat_is_dropped(number: int) -> None:
    beats = Heartbeats(25.0)
    silent, live = FakePeer(number, answers=False), FakePeer(number)
    for peer in (silent, live):
        beats.add(peer)
    turns = [turn % GROUPS for turn in range(number, number + GROUPS)]
    for passed, turn in enumerate(turns):
        beats.beat(turn)
        assert silent.drops == (passed >= GROUPS // 2)
    assert live.drops == 0


def test_who_was_removed_is_left_alone() -> None:
    beats = Heartbeats(25.0)
    peer = FakePeer(3)
    beats.add(peer)
    beats.remove(peer)
    beats.remove(peer)
    for turn in range(GROUPS):
        beats.beat(turn)
    assert peer.pings == []


async def test_it_beats_by_itself() -> None:
    beats = Heartbeats(0.01)
    peer = FakePeer(5)
    beats.add(peer)
    task = asyncio.create_task(beats.run())
    async with asyncio.timeout(10):
        await peer.pinged.wait()
    await end_tasks(task)
