"""The proof that the engine delivers: canaries that come back, and what is done when they do not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count

import pytest
from structlog.testing import capture_logs

from session_service.adapters.engine_watch import EngineWatch
from session_service.core.errors import EngineUnavailable
from tests.unit.session_service.edge_world import EdgeWorld

NUMBERS = count()


@pytest.fixture
async def world() -> AsyncIterator[EdgeWorld]:
    async with EdgeWorld() as made:
        yield made


def watch_of(world: EdgeWorld, patience_s: float = 5.0) -> EngineWatch:
    return EngineWatch(world.live, world.engine, world.metrics, lambda: str(next(NUMBERS)), patience_s=patience_s)


async def test_a_canary_comes_back(world: EdgeWorld) -> None:
    watch = watch_of(world)
    await watch.prove(5.0)
    await watch.look()
    assert watch.healthy
    assert world.engine.listened_anew == 0


async def test_an_engine_that_takes_nothing_is_a_fault(world: EdgeWorld) -> None:
    world.engine.fault = EngineUnavailable()
    with pytest.raises(EngineUnavailable):
        await watch_of(world).prove(5.0)
    assert world.engine.listened_anew == 0


async def test_an_engine_that_brings_nothing_back_listens_anew(world: EdgeWorld) -> None:
    world.engine.held = True
    with pytest.raises(EngineUnavailable, match="canary"):
        await watch_of(world).prove(0.001)
    assert world.engine.listened_anew == 1
    assert world.metrics.canaries_lost.value == 1
    world.engine.release()


async def test_the_alarm_is_raised_once_with_its_cause(world: EdgeWorld) -> None:
    watch = watch_of(world, 0.001)
    world.engine.held = True
    with capture_logs() as lines:
        await watch.look()
        await watch.look()
    assert not watch.healthy
    assert [(line["event"], line["cause"]) for line in lines if line["log_level"] == "error"] == [
        ("message store fails", "a canary did not come back through the message store")
    ]
    assert world.metrics.engine_alarms.value == 1
    assert world.metrics.engine_healthy._value.get() == 0
    world.engine.release()
    await watch_of(world).look()
    assert world.metrics.engine_healthy._value.get() == 1
