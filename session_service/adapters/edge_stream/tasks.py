"""The commands of one edge that wait for something: bounded in number, and none of them can fail unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from service_runtime.logs import get_logger
from session_service.adapters.edge_stream.replies import EdgeReplies
from session_service.core.errors import InternalError, LimitExceeded, SessionError

log = get_logger("session_service.edge_tasks")

MAX_TASKS: Final = 20_000


class EdgeTasks:
    """Runs what must wait, beside the stream.

    Args:
        replies: Where failures are told.
    """

    def __init__(self, replies: EdgeReplies) -> None:
        self._replies = replies
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, ref: int, session: int, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Begin to work on a command; None, and the command has failed, when too many are under way."""
        if len(self._tasks) >= MAX_TASKS:
            work.close()
            self._replies.fail(ref, session, LimitExceeded(f"{MAX_TASKS} commands under way"))
            return None
        task = asyncio.get_running_loop().create_task(self._run(ref, session, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before its first step never comes to its work.
        task.add_done_callback(lambda _: work.close())
        return task

    def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()

    async def _run(self, ref: int, session: int, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except SessionError as error:
            self._replies.fail(ref, session, error)
        except Exception:
            log.exception("command failed")
            self._replies.fail(ref, session, InternalError())
