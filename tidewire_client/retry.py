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
SHORTEST_ATTEMPT_S: Final = 0.001


def backoff_s(attempt: int, *, first_s: float = FIRST_WAIT_S, longest_s: float = LONGEST_WAIT_S) -> float:
    """Return how long to wait before an attempt, in seconds: exponential with full jitter.

    Args:
        attempt: How many attempts failed before; 0: the first.
        first_s: The longest wait after the first failure, in seconds.
        longest_s: The longest wait of all, in seconds.
    """
    longest = min(longest_s, first_s * 2.0 ** min(attempt, 20))
    return random.uniform(0, longest)  # noqa: S311 - no secret hangs on it


async def repeat(
    attempt: Callable[[float], Awaitable[R]], deadline_s: float, wait_after: Callable[[Exception, int], float | None]
) -> R:
    """Try, and try again while a repeat may help and time is left.

    Args:
        attempt: One try; given the time that is left, in seconds.
        deadline_s: For all attempts together, in seconds.
        wait_after: Given what an attempt raised and how many were made before it, returns the seconds to wait; None: give up.

    Raises:
        Exception: Whatever the last attempt raised.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    count = 0
    while True:
        try:
            return await attempt(max(SHORTEST_ATTEMPT_S, end - loop.time()))
        except Exception as exc:
            wait = wait_after(exc, count)
            if wait is None or loop.time() + wait >= end:
                raise
        await asyncio.sleep(wait)
        count += 1


async def call_with_retry(
    attempt: Callable[[float], Awaitable[R]],
    deadline_s: float,
    *,
    attempt_s: float | None = None,
    backoff: Callable[[int], float] = backoff_s,
) -> R:
    """Call, and call again while the service is away and time is left. Only for calls that are safe to repeat.

    Args:
        attempt: Makes one call with the timeout it is given, in seconds.
        deadline_s: For all attempts together, in seconds.
        attempt_s: For each attempt, in seconds, so that a service that hangs gets another one; None: an attempt may take
            all the time, and one that ran out of it is not repeated.
        backoff: Returns the seconds to wait before the n-th repeat.

    Raises:
        grpc.aio.AioRpcError: The last attempt's.
    """
    again = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    if attempt_s is not None:
        again.add(grpc.StatusCode.DEADLINE_EXCEEDED)

    def wait_after(exc: Exception, count: int) -> float | None:
        return backoff(count) if isinstance(exc, grpc.aio.AioRpcError) and exc.code() in again else None

    bound = deadline_s if attempt_s is None else attempt_s
    return await repeat(lambda left: attempt(min(left, bound)), deadline_s, wait_after)
