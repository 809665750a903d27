"""Garbage collection at a bounded price.

Most of what a service holds are objects that live as long as a connection, and it takes care that they end without cycles.
CPython looks at all of them for cycles whenever their number has grown by a quarter: while clients connect that took half of
an edge's CPU time, in pauses that grew with the number of connections. So all that is there at the start is never looked at
again, young objects are looked at once, and old ones at times that this module chooses.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Final

# Objects that were made, and not yet let go, before they are looked at: as many as are still in the processor's caches then.
YOUNG_OBJECTS: Final = 2_000
_NEVER: Final = 1_000_000_000
# So many looks at young objects, each of which made those that were left old, before a look at all of them is worth its price.
GROWN_BY_GROUPS: Final = 100
# Between two looks at all objects, at least.
INTERVAL_S: Final = 5.0
# Of the time of the process, for looks at all objects, at most.
SHARE: Final = 0.02
# After this many looks that were not needed, one is taken nevertheless: much may have ended and nothing begun.
SKIPPED_AT_MOST: Final = 60


def spare_what_is_there() -> None:
    """Never look at the objects of this moment again, and leave old ones to `collect_at_times`; to be called at the start."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, _NEVER, _NEVER)


def grown() -> bool:
    """Return whether many objects have become old since the last look at all of them."""
    return gc.get_count()[1] >= GROWN_BY_GROUPS


async def collect_at_times(
    *,
    interval_s: float = INTERVAL_S,
    collect: Callable[[], object] = gc.collect,
    has_grown: Callable[[], bool] = grown,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Look at all objects now and then, for ever: when many have come, and the longer it takes, the more seldom.

    Args:
        interval_s: Between two looks at least, in seconds.
        collect: Looks at all objects.
        has_grown: Says whether many objects have become old since the last look.
        now: Returns seconds of a clock that never goes back.
    """
    pause_s, skipped = interval_s, 0
    while True:
        await asyncio.sleep(pause_s)
        if skipped < SKIPPED_AT_MOST and not has_grown():
            pause_s, skipped = interval_s, skipped + 1
            continue
        began_s = now()
        collect()
        pause_s, skipped = max(interval_s, (now() - began_s) / SHARE), 0
