"""How busy the generator itself was: whether what was measured is the system, or the one who asked."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

BEAT_S: Final = 0.1
LIMIT: Final = 0.85


@dataclass
class Load:
    """Of this process.

    Args:
        wall_s: How long it was watched.
        cpu_s: Seconds of processor time it used meanwhile, all threads.
        worst_lag_s: The longest time that its event loop was late.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    worst_lag_s: float = 0.0

    @property
    def cpu_per_wall(self) -> float:
        return self.cpu_s / self.wall_s if self.wall_s else 0.0

    @property
    def was_the_limit(self) -> bool:
        return self.cpu_per_wall > LIMIT


@contextlib.asynccontextmanager
async def watched() -> AsyncIterator[Load]:
    """Measure the load of what runs inside; the result is complete when it ends."""
    load = Load()
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    beating = asyncio.create_task(_beat(load))
    try:
        yield load
    finally:
        beating.cancel()
        load.wall_s = time.perf_counter() - wall_s
        load.cpu_s = time.process_time() - cpu_s


async def _beat(load: Load) -> None:
    while True:
        due_s = time.perf_counter() + BEAT_S
        await asyncio.sleep(BEAT_S)
        load.worst_lag_s = max(load.worst_lag_s, time.perf_counter() - due_s)
