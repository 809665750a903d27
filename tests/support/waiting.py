"""Waiting for a condition, with a deadline: what tests do instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

POLL_S = 0.02
# Long enough for a machine that does much else; who waits for so long has failed.
DEADLINE_S = 30.0


def wait_until(condition: Callable[[], object], deadline_s: float = DEADLINE_S, what: str = "the condition") -> None:
    """Return when `condition` is true; fail after `deadline_s` seconds."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline_s} s")
        time.sleep(POLL_S)


async def eventually(
    condition: Callable[[], Awaitable[object]], deadline_s: float = DEADLINE_S, what: str = "the condition"
) -> None:
    """Return when the awaited `condition` is true; fail after `deadline_s` seconds."""
    end = time.monotonic() + deadline_s
    while not await condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline_s} s")
        await asyncio.sleep(POLL_S)
