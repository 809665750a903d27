"""Commands that wait: what is given up before it began leaves nothing behind."""

from __future__ import annotations

import asyncio
import inspect
from unittest.mock import Mock

from session_service.adapters.edge_stream.replies import EdgeReplies
from session_service.adapters.edge_stream.tasks import EdgeTasks


async def test_work_that_is_given_up_before_its_first_step_is_closed() -> None:
    began = []

    async def work() -> None:
        began.append(True)

    coroutine = work()
    tasks = EdgeTasks(Mock(spec=EdgeReplies))
    task = tasks.spawn(1, 2, coroutine)
    assert task is not None
    tasks.close()
    await asyncio.wait([task])
    assert task.cancelled()
    assert began == []
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
