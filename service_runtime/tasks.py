"""The end of background tasks, for sure: what a task waits for may swallow a cancellation, so it is cancelled again."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from service_runtime.logs import get_logger

CANCEL_AGAIN_S: Final = 0.05

log = get_logger("service_runtime.tasks")


async def cancel(*tasks: asyncio.Task[Any], again_s: float = CANCEL_AGAIN_S) -> None:
    """Cancel tasks, and return when they have ended, with whatever: each keeps its result.

    Args:
        tasks: Those that have ended already are no matter.
        again_s: Seconds after which one that goes on is cancelled again.
    """
    while waiting := [task for task in tasks if not task.done()]:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=again_s)


async def end_tasks(*tasks: asyncio.Task[Any], again_s: float = CANCEL_AGAIN_S) -> None:
    """Cancel tasks and wait for their ends, whatever they end with. One that died before, or dies of its end, is logged.

    Args:
        tasks: Those that have ended already are no matter.
        again_s: Seconds after which one that goes on is cancelled again.
    """
    await cancel(*tasks, again_s=again_s)
    for task in tasks:
        if not task.cancelled() and (cause := task.exception()) is not None:
            log.error("a background task has died", task=task.get_name(), exc_info=cause)
