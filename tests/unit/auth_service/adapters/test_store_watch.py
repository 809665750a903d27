"""The proof that the auth service can do its work, and what it says when it cannot."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from auth_service.adapters import metrics
from auth_service.adapters.store_cached import CachedKeyStore
from auth_service.adapters.store_watch import StoreWatch
from auth_service.adapters.watch_hub import WatchHub
from tests.unit.auth_service.fakes import FakeClock, MemoryKeyStore


class World:
    """A store, and what judges it."""

    def __init__(self, patience_s: float = 5.0) -> None:
        self.store = MemoryKeyStore()
        self.clock = FakeClock()
        hub = WatchHub(
            CachedKeyStore(self.store, 10),
            self.clock,
            checkpoint_s=1.0,
            queue_size=10,
            max_watchers=1,
            stale_after_s=30.0,
        )
        self.watch = StoreWatch(self.store, hub, patience_s=patience_s)

    async def causes(self) -> list[str]:
        """Look once; return the causes of the alarms that were raised."""
        with capture_logs() as lines:
            await self.watch.look()
        return [line["cause"] for line in lines if line["event"] == "key store fails"]


async def test_a_good_store_is_healthy() -> None:
    world = World()
    assert await world.causes() == []
    assert world.watch.healthy
    assert metrics.STORE_HEALTHY._value.get() == 1


async def test_the_alarm_is_raised_once_and_ends() -> None:
    world = World()
    alarms = metrics.STORE_ALARMS._value.get()
    world.store.fails = True
    assert await world.causes() == ["away"]
    assert await world.causes() == []
    assert not world.watch.healthy
    assert metrics.STORE_HEALTHY._value.get() == 0
    assert metrics.STORE_ALARMS._value.get() == alarms + 1
    world.store.fails = False
    assert await world.causes() == []
    assert world.watch.healthy


async def test_a_store_that_forgets_what_is_written_is_not_healthy() -> None:
    world = World()
    world.store.forgets_canaries = True
    assert await world.causes() == ["a canary was written and not found"]


async def test_a_store_that_hangs_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(patience_s=0.01)

    async def hang(number: int) -> int:
        await asyncio.Event().wait()
        return number

    monkeypatch.setattr(world.store, "canary", hang)
    assert await world.causes() == ["a canary was not written and read in 0.01 s"]


async def test_a_service_that_is_deaf_to_changes_is_not_healthy() -> None:
    world = World()
    world.clock.monotonic_s += 6.0
    assert await world.causes() == ["the log of changes was not read for 6.0 s"]
