"""How late the event loop is: the time that what is ready waits for its turn."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final

from prometheus_client import CollectorRegistry

from service_runtime.metrics import Spread

INTERVAL_S: Final = 0.5
# The loop's timers count in milliseconds.
_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class LoopLag:
    """Looks twice a second how much too late it is called.

    Args:
        prefix: Of the metric: `<prefix>_loop_lag_seconds`.
        registry: Where it is registered.
    """

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        self._lag = Spread(
            f"{prefix}_loop_lag_seconds",
            "Time that a timer, looked at twice a second, came too late",
            _BOUNDS,
            registry,
        )

    async def run(self) -> None:
        """Look for ever."""
        while True:
            began_s = perf_counter()
            await asyncio.sleep(INTERVAL_S)
            self._lag.observe(max(0.0, perf_counter() - began_s - INTERVAL_S))
