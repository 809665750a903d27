"""Garbage collection at a bounded price.

Most of what a service holds are objects that live as long as a connection or a channel, and it takes care that they end without
cycles. CPython looks at all of them for cycles whenever their number has grown by a quarter: while clients connect that took
half of an edge's CPU time, in pauses that grew with the number of connections. So what is there at the start is not looked at,
young objects are looked at once, those that became old since are looked at together now and then, and what survives that is
spared too. All objects are looked at seldom: that stops a large process for a second and more.
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
# So many looks at young objects, each of which made those that were left old, before a look at these is worth its price.
GROWN_BY_GROUPS: Final = 100
# Between two looks at what became old, at least; and the share of the process's time that they take at most.
INTERVAL_S: Final = 5.0
SHARE: Final = 0.02
# The same of looks at all objects.
WHOLE_INTERVAL_S: Final = 300.0
WHOLE_SHARE: Final = 0.001


def spare_what_is_there() -> None:
    """Look at all objects, and spare those of this moment; to be called at the start. `collect_at_times` does the rest."""
    look_at_new()
    gc.set_threshold(YOUNG_OBJECTS, _NEVER, _NEVER)


def grown() -> bool:
    """Return whether many objects have become old since the last look at these."""
    return gc.get_count()[1] >= GROWN_BY_GROUPS


def look_at_new() -> None:
    """Look at all objects that are not spared, and spare those that are left."""
    gc.collect()
    gc.freeze()


def look_at_all() -> None:
    """Look at all objects, spared ones too, and spare those that are left."""
    gc.unfreeze()
    look_at_new()


async def collect_at_times(
    *,
    new: Callable[[], object] = look_at_new,
    everything: Callable[[], object] = look_at_all,
    has_grown: Callable[[], bool] = grown,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Look for cycles for ever: when many objects became old, and rarely at all of them; what takes long, more seldom.

    Args:
        new: Looks at what became old since the last look.
        everything: Looks at all objects.
        has_grown: Says whether many objects became old.
        now: Returns seconds of a clock that never goes back.
    """
    pause_s, everything_at_s = INTERVAL_S, now() + WHOLE_INTERVAL_S
    while True:
        await asyncio.sleep(pause_s)
        began_s, pause_s = now(), INTERVAL_S
        if began_s >= everything_at_s:
            everything()
            everything_at_s = now() + max(WHOLE_INTERVAL_S, (now() - began_s) / WHOLE_SHARE)
        elif has_grown():
            new()
            pause_s = max(INTERVAL_S, (now() - began_s) / SHARE)
