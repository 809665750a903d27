"""Work that goes on while something else is done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine


@contextlib.asynccontextmanager
async def beside(work: Coroutine[object, object, None], what: str) -> AsyncIterator[None]:
    """Have it done meanwhile, and end it.

    Args:
        work: Goes on for ever.
        what: Says so of it.

    Raises:
        AssertionError: It ended by itself.
    """
    running = asyncio.create_task(work)
    try:
        yield
        assert not running.done(), f"{what} ended: {running.exception()!r}"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
