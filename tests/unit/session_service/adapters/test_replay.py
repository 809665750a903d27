"""What a reader has missed: without a hole and without a duplicate, whatever comes meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_service.adapters import replay
from session_service.core.errors import EngineUnavailable
from session_service.core.model import Position, RecoveryFailure
from tests.unit.session_service.fakes import EPOCH, TOPIC, a_budget, a_channel
from tests.unit.session_service.memory_engine import MemoryEngine

EXPIRED, CHANGED = RecoveryFailure.HISTORY_EXPIRED, RecoveryFailure.EPOCH_CHANGED


class World:
    """An engine, and a channel that it delivers to."""

    def __init__(self, stored: int = 0, *, ring: int = 100) -> None:
        self.engine = MemoryEngine()
        self.engine.fill(TOPIC, stored)
        self.channel = a_channel(stored, a_budget(max_messages=ring))

    def says(self, count: int = 1) -> None:
        """More is stored, and delivered."""
        before = self.engine.topic(TOPIC).head
        self.engine.fill(TOPIC, count)
        for message in self.engine.topic(TOPIC).messages[before:]:
            self.channel.accept(message)

    async def missed(self, since: Position) -> tuple[int, RecoveryFailure | None, list[int]]:
        start, failure = await replay.begin(self.engine, self.channel, since)
        found = await replay.collect(self.engine, self.channel, start)
        return found.after, failure or found.failure, [message.offset for message in found.messages]


async def test_what_the_ring_holds_is_not_read() -> None:
    world = World()
    world.says(5)
    assert await world.missed(Position(EPOCH, 2)) == (2, None, [3, 4, 5])
    assert await world.missed(Position(EPOCH, 5)) == (5, None, [])
    assert world.engine.reads == []


async def test_what_the_ring_does_not_hold_is_read() -> None:
    world = World(3)
    world.says(2)
    assert await world.missed(Position(EPOCH, 1)) == (1, None, [2, 3, 4, 5])
    assert await world.missed(Position("", 0)) == (0, None, [1, 2, 3, 4, 5])


async def test_a_small_ring_is_enough() -> None:
    world = World(3, ring=1)
    world.says(4)
    assert await world.missed(Position(EPOCH, 0)) == (0, None, [1, 2, 3, 4, 5, 6, 7])


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (Position(EPOCH, 1), (3, EXPIRED, [4, 5])),
        (Position("", 0), (3, None, [4, 5])),
        (Position("e0", 4), (3, CHANGED, [4, 5])),
        (Position(EPOCH, 9), (3, CHANGED, [4, 5])),
        (Position(EPOCH, 3), (3, None, [4, 5])),
    ],
)
async def test_what_is_gone_is_said(since: Position, expected: object) -> None:
    world = World(5)
    world.engine.topic(TOPIC).low = 3
    assert await world.missed(since) == expected


async def test_everything_gone_by_age_is_said_too() -> None:
    world = World(5)
    world.engine.topic(TOPIC).low = 5
    assert await world.missed(Position(EPOCH, 2)) == (5, EXPIRED, [])


async def test_many_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "PAGE_MESSAGES", 3)
    world = World(20)
    assert await world.missed(Position(EPOCH, 4)) == (4, None, list(range(5, 21)))
    assert len(world.engine.reads) > 5


@pytest.mark.parametrize("stored", [20, 22, 30, 60])
async def test_more_than_an_answer_can_carry_gives_the_newest_and_says_so(
    monkeypatch: pytest.MonkeyPatch, stored: int
) -> None:
    """With few messages the newest that are given reach back into what was read before."""
    monkeypatch.setattr(replay, "PAGE_MESSAGES", 5)
    world = World(stored)
    found = await replay.missed(world.engine, world.channel, Position(EPOCH, 0), 4000)
    assert found.failure is EXPIRED
    assert [message.offset for message in found.messages] == list(range(found.after + 1, stored + 1))
    assert 0 < len(found.messages) < stored


@pytest.mark.parametrize("reads_before", [0, 1, 3])
@pytest.mark.parametrize("low", [12, 20])
async def test_what_is_trimmed_while_it_is_read_is_said(
    monkeypatch: pytest.MonkeyPatch, reads_before: int, low: int
) -> None:
    monkeypatch.setattr(replay, "PAGE_MESSAGES", 3)
    world = World(20)
    world.engine.stepwise = True
    reading = asyncio.create_task(replay.collect(world.engine, world.channel, 0))
    for _ in range(reads_before):
        (await world.engine.next_read()).set_result(None)
    turn = await world.engine.next_read()
    world.engine.topic(TOPIC).low = low
    turn.set_result(None)
    world.engine.run_freely()
    found = await reading
    assert (found.after, found.failure) == (low, EXPIRED)
    assert [message.offset for message in found.messages] == list(range(low + 1, 21))


async def test_a_new_life_while_it_is_read_is_said() -> None:
    world = World(5)
    world.engine.stepwise = True
    reading = asyncio.create_task(replay.collect(world.engine, world.channel, 0))
    turn = await world.engine.next_read()
    world.engine.new_life(TOPIC, "e2")
    world.says(2)
    turn.set_result(None)
    found = await reading
    assert (found.after, found.failure, found.messages) == (2, CHANGED, [])


async def test_what_a_new_epoch_shares_with_the_old_one_is_not_missed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The channel is renewed while a page of the old epoch is read: the work begins again, and nothing is lost."""
    monkeypatch.setattr(replay, "PAGE_MESSAGES", 2)
    world = World(6)
    world.engine.stepwise = True
    reading = asyncio.create_task(replay.missed(world.engine, world.channel, Position(EPOCH, 1)))
    (await world.engine.next_read()).set_result(None)
    turn = await world.engine.next_read()
    world.engine.renew(TOPIC, "e2", 5)
    world.channel.renew(Position("e2", 5))
    world.says(1)
    turn.set_result(None)
    world.engine.run_freely()
    found = await reading
    assert (found.after, found.failure) == (1, None)
    assert [(message.epoch, message.offset) for message in found.messages] == [("e2", number) for number in range(2, 7)]


async def test_what_is_read_of_an_epoch_that_was_not_told_here_is_not_used() -> None:
    world = World(5)
    world.engine.renew(TOPIC, "e2", 5)
    with pytest.raises(EngineUnavailable, match="anew"):
        await replay.missed(world.engine, world.channel, Position(EPOCH, 1))


async def test_a_channel_that_is_always_renewed_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "MAX_ROUNDS", 2)
    world = World(5)
    world.engine.stepwise = True
    reading = asyncio.create_task(replay.missed(world.engine, world.channel, Position(EPOCH, 1)))
    for epoch in ("e2", "e3"):
        turn = await world.engine.next_read()
        world.engine.renew(TOPIC, epoch, 5)
        world.channel.renew(Position(epoch, 5))
        turn.set_result(None)
    with pytest.raises(EngineUnavailable, match="again and again"):
        await reading


async def test_the_newest_are_of_one_epoch() -> None:
    world = World(6)
    world.engine.stepwise = True
    reading = asyncio.create_task(replay.newest(world.engine, world.channel, 3))
    turn = await world.engine.next_read()
    world.engine.renew(TOPIC, "e2", 4)
    world.channel.renew(Position("e2", 4))
    turn.set_result(None)
    world.engine.run_freely()
    found = await reading
    assert [(message.epoch, message.offset) for message in found.messages] == [("e2", 2), ("e2", 3), ("e2", 4)]
    assert await replay.newest(world.engine, world.channel, 0) == (4, None, [])


async def test_an_engine_that_cannot_be_read_is_no_hole() -> None:
    world = World(5)
    world.engine.fault = EngineUnavailable()
    with pytest.raises(EngineUnavailable):
        await world.missed(Position(EPOCH, 0))


async def test_a_channel_that_is_never_reached_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "PAGE_MESSAGES", 1)
    monkeypatch.setattr(replay, "MAX_ROUNDS", 5)
    with pytest.raises(EngineUnavailable, match="faster than it can be read"):
        await World(50).missed(Position(EPOCH, 0))


@settings(max_examples=60, deadline=None)
@given(
    stored=st.integers(0, 30),
    since=st.integers(0, 30),
    page=st.integers(1, 7),
    ring=st.integers(1, 8),
    meanwhile=st.lists(st.integers(0, 3), max_size=12),
)
def test_exact_whatever_comes_meanwhile(stored: int, since: int, page: int, ring: int, meanwhile: list[int]) -> None:
    """Messages come while each page is read; the answer ends at the head of its moment, without hole or duplicate."""

    async def run() -> None:
        world = World(stored, ring=ring)
        world.engine.stepwise = True
        start = min(since, stored)
        reading = asyncio.create_task(replay.collect(world.engine, world.channel, start))
        for count in meanwhile:
            turn = asyncio.create_task(world.engine.next_read())
            await asyncio.wait([turn, reading], return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                turn.cancel()
                break
            world.says(count)
            (await turn).set_result(None)
        world.engine.run_freely()
        found = await reading
        assert found.failure is None
        assert [message.offset for message in found.messages] == list(range(start + 1, world.channel.head + 1))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(replay, "PAGE_MESSAGES", page)
        asyncio.run(run())


async def test_a_replay_is_topped_up_with_what_came_since() -> None:
    world = World(3)
    found = await replay.missed(world.engine, world.channel, Position(EPOCH, 1))
    assert replay.topped_up(world.channel, found, EPOCH) == found
    world.says(2)
    topped = replay.topped_up(world.channel, found, EPOCH)
    assert topped is not None
    assert (topped.after, topped.failure) == (1, None)
    assert [message.offset for message in topped.messages] == [2, 3, 4, 5]


async def test_an_empty_replay_is_topped_up_too() -> None:
    world = World(3)
    found = await replay.missed(world.engine, world.channel, Position(EPOCH, 3))
    world.says(1)
    topped = replay.topped_up(world.channel, found, EPOCH)
    assert topped is not None
    assert [message.offset for message in topped.messages] == [4]


async def test_a_replay_that_the_ring_or_the_epoch_left_behind_must_be_made_anew() -> None:
    world = World(3, ring=2)
    found = await replay.missed(world.engine, world.channel, Position(EPOCH, 1))
    world.says(3)
    assert replay.topped_up(world.channel, found, EPOCH) is None
    world = World(3)
    found = await replay.missed(world.engine, world.channel, Position(EPOCH, 1))
    world.engine.new_life(TOPIC, "e2")
    world.says(1)
    assert replay.topped_up(world.channel, found, EPOCH) is None
