"""Drives an engine of the session service in this process, on the event loop that the service uses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

import uvloop

from benchmarks.errors import BenchmarkError
from benchmarks.stores.base import Appending, new_messages
from session_service.core.errors import SessionError
from session_service.core.model import NewMessage, Position, Stored, StoredMessage
from session_service.core.ports import Engine

T = TypeVar("T")
_GROUP_DEADLINE_S: Final = 30.0


class EngineLoad:
    """An engine that runs, and appends to it.

    Args:
        make: Returns the engine; called on the loop.
    """

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._messages = new_messages()
        try:
            self._engine = self.run(_started(make))
        except BaseException:
            self._runner.close()
            raise

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the engine's loop."""
        return self._runner.run(work)

    def close(self) -> None:
        """Close the engine."""
        self.run(self._engine.close())
        self._runner.close()

    def append(self, group: int, seconds: float) -> Appending:
        """See `Store.append`; the CPU time is this process's."""
        return self.run(self._append(group, seconds))

    async def _append(self, group: int, seconds: float) -> Appending:
        began_s, cpu_began_s, count = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - began_s < seconds:
            async with asyncio.timeout(_GROUP_DEADLINE_S):
                await self._group(islice(self._messages, group), group)
            count += group
        return Appending(count, time.perf_counter() - began_s, time.process_time() - cpu_began_s)

    def _group(self, messages: Iterator[NewMessage], count: int) -> asyncio.Future[None]:
        """Append some messages in one tick; the future is done when all are stored."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        left = count

        def on_stored(result: Stored | SessionError) -> None:
            nonlocal left
            left -= 1
            if isinstance(result, SessionError) and not stored.done():
                stored.set_exception(BenchmarkError(f"a message was not stored: {result}"))
            elif left == 0 and not stored.done():
                stored.set_result(None)

        for message in messages:
            self._engine.append(message, on_stored)
        return stored

    def append_at_rate(self, rate: float, seconds: float) -> list[float]:
        """See `Store.append_at_rate`."""
        return self.run(self._append_at_rate(rate, seconds))

    async def _append_at_rate(self, rate: float, seconds: float) -> list[float]:
        loop = asyncio.get_running_loop()
        taken_s: list[float] = []
        count = max(1, int(rate * seconds))
        done: asyncio.Future[None] = loop.create_future()

        def append(message: NewMessage) -> None:
            asked_s = time.perf_counter()

            def on_stored(result: Stored | SessionError) -> None:
                taken_s.append(time.perf_counter() - asked_s)
                if len(taken_s) == count:
                    done.set_result(None)

            self._engine.append(message, on_stored)

        first_s = loop.time()
        for number, message in enumerate(islice(self._messages, count)):
            loop.call_at(first_s + number / rate, append, message)
        async with asyncio.timeout(seconds + _GROUP_DEADLINE_S):
            await done
        return taken_s


class _Nobody:
    """Listens to no topic."""

    def on_message(self, message: StoredMessage) -> None:
        """Take what was not asked for."""

    def on_renewed(self, topic: str, position: Position, *, lossless: bool) -> None:
        """Take what was not asked for."""


async def _started(make: Callable[[], Engine]) -> Engine:
    engine = make()
    await engine.start(_Nobody())
    return engine
