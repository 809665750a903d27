"""Waiting between attempts, and repeating calls inside their deadline."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import grpc

R = TypeVar("R")

FIRST_WAIT_S: Final = 0.05
LONGEST_WAIT_S: Final = 1.0


def backoff_s(attempt: int) -> float:
    """Return how long to wait before an attempt, in seconds: exponential with full jitter, at most one second."""
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempt, 10))
    return random.uniform(0, longest)  # noqa: S311 - no secret hangs on it


async def call_with_retry(attempt: Callable[[float], Awaitable[R]], deadline_s: float) -> R:
    """Call, and call again while the service is away and time is left. Only for calls that are safe to repeat.

    Args:
        attempt: Makes one call with the timeout it is given, in seconds.
        deadline_s: For all attempts together, in seconds.

    Raises:
        grpc.aio.AioRpcError: The last attempt's.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    count = 0
    while True:
        try:
            return await attempt(max(0.001, end - loop.time()))
        except grpc.aio.AioRpcError as exc:
            wait = backoff_s(count)
            if exc.code() is not grpc.StatusCode.UNAVAILABLE or loop.time() + wait >= end:
                raise
        await asyncio.sleep(wait)
        count += 1
