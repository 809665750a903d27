"""The event loop's `call_soon`, with a look at the clock round what it calls: how long a flush of all outboxes takes."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from ws_edge.core.outbox import Ticker


def timed(call_soon: Callable[..., object], observe: Callable[[float], None]) -> Ticker:
    """Return what calls back at the end of this turn of the event loop, and observes how long that took.

    Args:
        call_soon: The event loop's.
        observe: Given the seconds of each call.
    """

    def call(callback: Callable[[], None]) -> None:
        began_s = perf_counter()
        callback()
        observe(perf_counter() - began_s)

    return lambda callback: call_soon(call, callback)
