"""The lateness of the event loop is seen."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import CollectorRegistry

from service_runtime.loop_lag import INTERVAL_S, LoopLag
from service_runtime.tasks import end_tasks
from tests.support.waiting import eventually

HELD_S = 0.3


async def test_a_loop_that_is_held_up_is_late() -> None:
    registry = CollectorRegistry()
    looking = asyncio.create_task(LoopLag("demo", registry).run())
    await asyncio.sleep(0)
    time.sleep(INTERVAL_S + HELD_S)  # noqa: ASYNC251 - this is what holds it up

    async def seen() -> bool:
        return registry.get_sample_value("demo_loop_lag_seconds_count") == 1

    await eventually(seen)
    await end_tasks(looking)
    lateness_s = registry.get_sample_value("demo_loop_lag_seconds_sum")
    assert lateness_s is not None
    assert lateness_s >= HELD_S
