"""Scrapes several processes again and again, and says what each did since it was last scraped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import aiohttp

from tidewire_client.top.figures import Figures, figures
from tidewire_client.top.scrape import Scrape, ScrapeFailed, scrape


@dataclass(frozen=True, slots=True)
class Seen:
    """One process in one interval.

    Attributes:
        target: Where its metrics are.
        figures: What it did; None: nothing is known.
        problem: Why nothing is known; empty: it is.
    """

    target: str
    figures: Figures | None
    problem: str = ""


async def watch(urls: Sequence[str], interval_s: float, timeout_s: float) -> AsyncGenerator[list[Seen], None]:
    """Yield what each process did, once an interval, for ever.

    Args:
        urls: Where the metrics of each are.
        interval_s: In seconds.
        timeout_s: For each answer, in seconds.
    """
    # No proxy of the environment: services are near.
    async with aiohttp.ClientSession(trust_env=False) as session:
        before = await _all(session, urls, timeout_s)
        while True:
            await asyncio.sleep(interval_s)
            now = await _all(session, urls, timeout_s)
            yield [_seen(url, *pair) for url, pair in zip(urls, zip(before, now, strict=True), strict=True)]
            before = now


async def _all(session: aiohttp.ClientSession, urls: Sequence[str], timeout_s: float) -> list[Scrape | str]:
    """Return the metrics of each, or why there are none."""

    async def one(url: str) -> Scrape | str:
        try:
            return await scrape(session, url, timeout_s)
        except ScrapeFailed as failed:
            return str(failed)

    return list(await asyncio.gather(*map(one, urls)))


def _seen(url: str, before: Scrape | str, now: Scrape | str) -> Seen:
    if isinstance(now, str):
        return Seen(url, None, now)
    if isinstance(before, str):
        return Seen(url, None, "just came")
    found = figures(before, now)
    return Seen(url, found, "" if found else "not a service of Tidewire")
