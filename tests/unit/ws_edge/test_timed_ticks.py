"""A look at the clock round what is done at the end of a turn of the event loop."""

from __future__ import annotations

import asyncio

from ws_edge.adapters.timed_ticks import timed


async def test_what_is_called_back_is_timed() -> None:
    times: list[float] = []
    called = asyncio.Event()
    timed(asyncio.get_running_loop().call_soon, times.append)(called.set)
    assert not called.is_set()
    await called.wait()
    await asyncio.sleep(0)
    assert len(times) == 1
    assert times[0] >= 0
