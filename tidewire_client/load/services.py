"""What the services say of themselves while they are under load, from their metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

from tidewire_client.top.scrape import Scrape, ScrapeFailed, scrape

TIMEOUT_S: Final = 5.0
_MEMORY: Final = "process_resident_memory_bytes"
_CPU: Final = "process_cpu_seconds_total"
_SLOW: Final = "tidewire_edge_slow_consumers_total"


@dataclass(frozen=True, slots=True)
class Sample:
    """All services whose metrics are asked for, at one moment.

    Attributes:
        at_s: In seconds of the monotonic clock.
        memory_bytes: Of all together.
        cpu_s: That all have used since they began, in seconds.
        slow_consumers: Clients that were let go because they did not read, since the edges began.
    """

    at_s: float
    memory_bytes: float
    cpu_s: float
    slow_consumers: float


class Services:
    """Asks for metrics.

    Args:
        urls: Where each process has its metrics; empty: nobody is asked.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self.problems: dict[str, str] = {}

    @property
    def known(self) -> bool:
        """There is somebody to ask."""
        return bool(self._urls)

    async def sample(self) -> Sample | None:
        """Return what they say now; None: not all answer, and `problems` says why."""
        if not self._urls:
            return None
        async with aiohttp.ClientSession(trust_env=False) as session:
            found = await asyncio.gather(*(self._one(session, url) for url in self._urls))
        scrapes = [each for each in found if each is not None]
        if len(scrapes) < len(found):
            return None

        def total(name: str) -> float:
            return sum(each.total(name) or 0.0 for each in scrapes)

        if not total(_MEMORY):
            self.problems[self._urls[0]] = f"no metric {_MEMORY}: the system does not tell it"
            return None
        return Sample(time.monotonic(), total(_MEMORY), total(_CPU), total(_SLOW))

    async def _one(self, session: aiohttp.ClientSession, url: str) -> Scrape | None:
        try:
            return await scrape(session, url, TIMEOUT_S)
        except ScrapeFailed as failed:
            self.problems[url] = str(failed)
            return None

    async def watch(self, interval_s: float, on_sample: Callable[[Sample], None]) -> None:
        """Sample for ever.

        Args:
            interval_s: In seconds.
            on_sample: Told what they say, whenever all do.
        """
        while self._urls:
            found = await self.sample()
            if found is not None:
                on_sample(found)
            await asyncio.sleep(interval_s)
