"""Watchers are told of every change, in order, or that they missed something."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from auth_service.adapters.debug_listings import auth_listings
from auth_service.adapters.store_cached import CachedKeyStore
from auth_service.adapters.watch_hub import Event, Lost, Reached, Watcher, WatchHub
from auth_service.core.errors import LimitExceededError
from auth_service.core.keys import KeyState, change_state
from auth_service.core.ports import Change
from auth_service.core.verification import VerdictCode
from tests.support.waiting import eventually
from tests.unit.auth_service.fakes import NOW_MS, FakeClock, MemoryKeyStore, a_record

DEADLINE_S = 10.0
CHECKPOINT_S = 0.02


class World:
    """A hub over a store in memory, running."""

    def __init__(self, *, log_size: int = 100, queue_size: int = 10, max_watchers: int = 3) -> None:
        self.clock = FakeClock()
        self.memory = MemoryKeyStore(log_size)
        self.cached = CachedKeyStore(self.memory, 10)
        self.hub = WatchHub(
            self.cached,
            self.clock,
            checkpoint_s=CHECKPOINT_S,
            queue_size=queue_size,
            max_watchers=max_watchers,
            stale_after_s=5.0,
        )

    async def change(self, key_id: str = "k1", *, wake: bool = True) -> None:
        """Make a change as an administrator does."""
        if await self.memory.get(key_id) is None:
            await self.memory.create(a_record(key_id))
        else:
            await self.memory.update(key_id, lambda record: replace(record, name=record.name + "x"))
        if wake:
            self.hub.wake()

    def time_passes(self, seconds: float) -> None:
        self.clock.monotonic_s += seconds
        self.clock.now_ms += int(seconds * 1000)
        self.hub.wake()


@contextlib.asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    await world.hub.prepare()
    task = asyncio.create_task(world.hub.run())
    try:
        yield world
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running(World()) as made:
        yield made


class Reader:
    """Reads what a watcher is told."""

    def __init__(self, hub: WatchHub, from_revision: int = 0) -> None:
        self._events = hub.follow(from_revision, "key:k9")

    async def __aenter__(self) -> Reader:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._events.aclose()

    async def next(self) -> Event:
        return await asyncio.wait_for(anext(self._events), DEADLINE_S)

    async def assert_ended(self) -> None:
        with pytest.raises(StopAsyncIteration):
            await self.next()


async def test_a_checkpoint_comes_first_then_what_happens(world: World) -> None:
    async with Reader(world.hub) as reader:
        assert await reader.next() == Reached(0)
        await world.change("k1")
        await world.change("k1")
        assert await reader.next() == Change(1, "k1", VerdictCode.VALID)
        assert await reader.next() == Change(2, "k1", VerdictCode.VALID)
        world.time_passes(CHECKPOINT_S)
        assert await reader.next() == Reached(2)
        assert world.hub.seen_revision() == 2


async def test_the_first_checkpoint_is_where_the_store_is_and_what_is_known_here_is_as_new(world: World) -> None:
    await world.change("k1")
    async with Reader(world.hub, 1):
        assert await world.cached.get("k1") is not None
    for _ in range(3):
        await world.change(wake=False)
    async with Reader(world.hub) as reader:
        assert await reader.next() == Reached(4)
        assert world.hub.seen_revision() == 4
        assert await world.cached.get("k1") == await world.memory.get("k1")
        await world.change()
        assert await reader.next() == Change(5, "k1", VerdictCode.VALID)


async def test_without_the_store_a_watch_begins_where_the_log_was_seen_last(world: World) -> None:
    await world.change("k1")
    async with Reader(world.hub) as reader:
        assert await reader.next() == Reached(1)
    await world.change(wake=False)
    world.memory.fails = True
    async with Reader(world.hub) as reader:
        assert await reader.next() == Reached(1)
        world.memory.fails = False
        assert await reader.next() == Change(2, "k1", VerdictCode.VALID)


async def test_changes_of_other_processes_are_found_without_a_wake(world: World) -> None:
    async with Reader(world.hub) as reader:
        await reader.next()
        await world.change(wake=False)
        assert await reader.next() == Change(1, "k1", VerdictCode.VALID)


async def test_an_expiry_is_told_when_it_comes(world: World) -> None:
    await world.memory.create(a_record("k1", expire_ms=NOW_MS + 1000))
    world.hub.wake()
    async with Reader(world.hub, 1) as reader:
        assert await reader.next() == Reached(1)
        assert await reader.next() == Reached(1)
        world.time_passes(1.0)
        events = [await reader.next() for _ in range(2)]
        assert Change(2, "k1", VerdictCode.EXPIRED) in events


async def test_the_cache_forgets_before_watchers_are_told(world: World) -> None:
    await world.change()
    async with Reader(world.hub, 1) as reader:
        await reader.next()
        await reader.next()
        assert await world.cached.get("k1") is not None
        await world.memory.update("k1", lambda record: change_state(record, KeyState.REVOKED, "", NOW_MS))
        world.hub.wake()
        assert await reader.next() == Change(2, "k1", VerdictCode.REVOKED)
        found = await world.cached.get("k1")
        assert found is not None
        assert found.state is KeyState.REVOKED


async def test_what_was_missed_comes_between_two_checkpoints(world: World) -> None:
    for _ in range(3):
        await world.change()
    async with Reader(world.hub) as reader:
        while world.hub.seen_revision() < 3:
            await reader.next()
    async with Reader(world.hub, 1) as reader:
        told = [await reader.next() for _ in range(4)]
    assert told[0] == told[-1] == Reached(3)
    assert [event.revision for event in told[1:-1]] == [2, 3]


async def test_a_watcher_ahead_of_this_process_is_told_nothing_twice() -> None:
    """It saw revision 2 at another process; this one has not read it yet."""
    world = World()
    await world.hub.prepare()
    for _ in range(2):
        await world.change()
    reader = Reader(world.hub, 2)
    assert await reader.next() == Reached(2)
    assert await reader.next() == Reached(2)
    task = asyncio.create_task(world.hub.run())
    await world.change()
    assert await reader.next() == Change(3, "k1", VerdictCode.VALID)
    await reader.__aexit__()
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("revision", [1, 99])
async def test_a_revision_that_the_log_does_not_hold_is_lost(revision: int) -> None:
    async with running(World(log_size=2)) as world:
        for _ in range(5):
            await world.change()
        async with Reader(world.hub, revision) as reader:
            assert isinstance(await reader.next(), Reached)
            assert isinstance(await reader.next(), Lost)
            await reader.assert_ended()


async def test_who_missed_more_than_may_wait_is_lost() -> None:
    async with running(World(queue_size=3)) as world:
        for _ in range(6):
            await world.change()
        async with Reader(world.hub, 1) as reader:
            assert isinstance(await reader.next(), Reached)
            lost = await reader.next()
            assert isinstance(lost, Lost)
            assert "more than 3" in lost.reason


async def test_a_slow_watcher_is_lost_and_the_others_are_not() -> None:
    async with running(World(queue_size=3)) as world, Reader(world.hub) as slow, Reader(world.hub) as quick:
        await slow.next()
        await quick.next()
        for number in range(1, 6):
            await world.change()
            while not isinstance(event := await quick.next(), Change):
                pass
            assert event.revision == number
        lost = await slow.next()
        assert isinstance(lost, Lost)
        assert "slow" in lost.reason
        await slow.assert_ended()
        await world.change()
        while not isinstance(event := await quick.next(), Change):
            pass
        assert event.revision == 6


async def test_too_many_watchers_are_refused_until_one_goes(world: World) -> None:
    readers = [Reader(world.hub) for _ in range(3)]
    for reader in readers:
        await reader.next()
    with pytest.raises(LimitExceededError):
        await Reader(world.hub).next()
    await readers[0].__aexit__()
    async with Reader(world.hub) as another:
        assert await another.next() == Reached(0)
    for reader in readers[1:]:
        await reader.__aexit__()


async def test_a_log_that_was_cut_away_makes_everyone_start_over(world: World) -> None:
    await world.change()
    async with Reader(world.hub, 1) as reader:
        await reader.next()
        await reader.next()
        await world.cached.get("k1")
        for _ in range(3):
            await world.change(wake=False)
        world.memory.lose_log()
        world.hub.wake()
        event = await reader.next()
        while isinstance(event, Reached):
            event = await reader.next()
        assert isinstance(event, Lost)
        await reader.assert_ended()
    found = await world.cached.get("k1")
    assert found is not None
    assert found.revision == 4
    assert world.hub.seen_revision() == 4


async def test_without_the_store_there_are_no_checkpoints_and_at_last_no_cache(world: World) -> None:
    await world.change()
    async with Reader(world.hub, 1) as reader:
        await reader.next()
        await reader.next()
        await world.cached.get("k1")
        world.memory.fails = True
        world.time_passes(1.0)
        waiting = asyncio.create_task(reader.next())
        reads = world.memory.reads
        await world.cached.get("k1")
        assert world.memory.reads == reads
        world.time_passes(10.0)
        done, _ = await asyncio.wait([waiting], timeout=5 * CHECKPOINT_S)
        assert not done
        world.memory.fails = False
        await world.cached.get("k1")
        assert world.memory.reads == reads + 1
        world.time_passes(CHECKPOINT_S)
        assert await waiting == Reached(1)


async def test_at_the_end_every_stream_ends_without_a_word(world: World) -> None:
    async with Reader(world.hub) as reader:
        await reader.next()
        world.hub.close()
        await reader.assert_ended()


async def test_a_watcher_keeps_the_newest_checkpoint_only() -> None:
    watcher = Watcher(10)
    watcher.reach(1)
    watcher.reach(2)
    assert await watcher.next() == Reached(2)
    watcher.tell(Change(3, "k1", VerdictCode.VALID))
    watcher.reach(3)
    assert await watcher.next() == Change(3, "k1", VerdictCode.VALID)
    assert await watcher.next() == Reached(3)


async def test_after_the_end_a_watcher_takes_nothing() -> None:
    watcher = Watcher(10)
    watcher.lose("why")
    watcher.lose("another reason")
    watcher.tell(Change(1, "k1", VerdictCode.VALID))
    assert await watcher.next() == Lost("why")
    assert await watcher.next() is None


async def test_watchers_are_shown_as_long_as_they_are_there(world: World) -> None:
    (watchers,) = auth_listings(world.hub, world.clock).values()
    async with Reader(world.hub) as reader:
        await reader.next()
        await world.change("k1")

        async def seen() -> bool:
            return world.hub.seen_revision() == 1

        await eventually(seen, what="the hub has read the change")
        world.time_passes(1.5)
        (number,) = watchers.keys()
        assert watchers.row(number) == {
            "id": number,
            "state": "watching",
            "caller": "key:k9",
            "changes_waiting": 1,
            "age_s": 1.5,
        }
    assert watchers.row(number) is None
