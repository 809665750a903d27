"""How ops get from the event loop to the file: gathered for a tick, then committed at once, or by the writer's thread.

To wake a thread, and to be woken by it, costs more than the commit of a few messages on a disk that is quick. So while the
thread has nothing to do and the disk is quick, a small group of appends is committed on the loop. After a commit that was
slow the thread does all of them for a while, and the loop waits for the disk no longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from session_service.adapters.engine_sqlite.ops import Append, Op, Outcome, WriterSettings
from session_service.adapters.engine_sqlite.writer import OnGroup, Writer

QUICK_COMMIT_S: Final = 0.002
THREAD_ONLY_S: Final = 1.0
MAX_QUICK_APPENDS: Final = 64
MAX_QUICK_BYTES: Final = 256 * 1024


class HandOver:
    """Hands ops to the writer, in the order in which they are gathered; what became of them comes back in that order.

    Args:
        path: The database file.
        settings: How the writer works.
        on_group: Called on the loop after each group with its ops, what became of each, and seconds it took.
    """

    def __init__(self, path: Path, settings: WriterSettings, on_group: OnGroup) -> None:
        self._writer = Writer(path, settings, self._from_writer)
        self._on_group = on_group
        self._loop: asyncio.AbstractEventLoop
        self._tick: list[Op] = []
        self._under_way = 0
        self._thread_only_until_s = 0.0

    async def start(self) -> None:
        """Open the store; raises EngineUnavailable."""
        self._loop = asyncio.get_running_loop()
        await self._loop.run_in_executor(None, self._writer.start)

    async def stop(self, timeout_s: float) -> bool:
        """Finish what was gathered, and end, within `timeout_s` seconds. Returns: it ended."""
        if self._tick:
            self._submit()
        return await self._loop.run_in_executor(None, self._writer.stop, timeout_s)

    def gather(self, op: Op) -> None:
        """Take an op of this tick."""
        if not self._tick:
            self._loop.call_soon(self._end_tick)
        self._tick.append(op)

    def _end_tick(self) -> None:
        if not self._tick:
            return
        if self._quick():
            ops = self._tick
            done = self._writer.commit_now(ops)
            if done is not None:
                self._tick = []
                self._finish(ops, *done)
                return
        self._submit()

    def _quick(self) -> bool:
        """The thread is idle, the disk was quick of late, and the group is a small one of appends."""
        return (
            not self._under_way
            and len(self._tick) <= MAX_QUICK_APPENDS
            and self._loop.time() >= self._thread_only_until_s
            and all(type(op) is Append for op in self._tick)
            and sum(len(op.message.data) for op in self._tick if isinstance(op, Append)) <= MAX_QUICK_BYTES
        )

    def _submit(self) -> None:
        ops, self._tick = self._tick, []
        self._under_way += len(ops)
        self._writer.submit(ops)

    def _from_writer(self, ops: Sequence[Op], outcomes: Sequence[Outcome], seconds: float) -> None:
        """Runs in the writer's thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._written, ops, outcomes, seconds)

    def _written(self, ops: Sequence[Op], outcomes: Sequence[Outcome], seconds: float) -> None:
        self._under_way -= len(ops)
        self._finish(ops, outcomes, seconds)

    def _finish(self, ops: Sequence[Op], outcomes: Sequence[Outcome], seconds: float) -> None:
        if seconds > QUICK_COMMIT_S:
            self._thread_only_until_s = self._loop.time() + THREAD_ONLY_S
        self._on_group(ops, outcomes, seconds)
