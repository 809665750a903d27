"""Commands go in groups over one connection: what a tick of the event loop asks is sent together, answered in order.

What comes while a group is under way makes the next one. What becomes of a command is always said, within about one and a
half times the timeout: its reply; `EngineUnavailable` when it was not sent, or the server refused it (READONLY, OOM,
LOADING, ...); `EngineTimeout` when it was sent and no reply came, so that nobody knows.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from service_runtime.logs import get_logger
from service_runtime.tasks import end_tasks
from session_service.adapters.redis_access.asking import Asked, OnReply, Redirect, Reply, ask, call
from session_service.adapters.redis_access.commands import Command
from session_service.adapters.redis_access.link import Dialer
from session_service.adapters.redis_access.wire import Wire
from session_service.core.errors import EngineTimeout, EngineUnavailable, LimitExceeded, SessionError

log = get_logger("session_service.engine_redis")

OVERDUE_CHECK_S: Final = 0.25
AGAIN_WITHIN_S: Final = 1.0
"""Seconds in which a connection that ended under way may be replaced, so that what has no reply is sent once more."""
AGAIN_S: Final = 0.05

OnGroup: TypeAlias = Callable[[int, float], None]
OnRedirects: TypeAlias = Callable[[Sequence[tuple[Asked, Redirect]]], None]


class Lane:
    """Sends commands, and calls back with what became of each.

    Args:
        dialer: Makes the connection, again and again if need be.
        timeout_s: Seconds until a command counts as failed.
        max_waiting: Commands that may wait to be sent.
        max_group: Commands sent together.
        wait_replicas: So many replicas must have what a group wrote.
        on_group: Called with the size of each group and the seconds that it took.
        on_redirects: Called with what a server of a Redis Cluster sent elsewhere, in order; None: there is no Cluster.
        on_trouble: Called when there is no connection, or it ended.
    """

    def __init__(
        self,
        dialer: Dialer,
        *,
        timeout_s: float,
        max_waiting: int,
        max_group: int,
        wait_replicas: int = 0,
        on_group: OnGroup,
        on_redirects: OnRedirects | None = None,
        on_trouble: Callable[[], None] = lambda: None,
    ) -> None:
        self._wire = Wire(dialer, timeout_s=timeout_s, wait_replicas=wait_replicas, in_cluster=on_redirects is not None)
        self._timeout_s = timeout_s
        self._max_waiting = max_waiting
        self._max_group = max_group
        self._on_group = on_group
        self._on_redirects = on_redirects
        self._on_trouble = on_trouble
        self._queue: deque[Asked] = deque()
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self._overdue_check: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Connect; raises EngineUnavailable."""
        await self._wire.ready()
        self.begin()

    def begin(self) -> None:
        """Take commands; connect when the first one comes."""
        self._task = asyncio.create_task(self._run())
        self._check_overdue()

    def withdraw(self) -> list[Asked]:
        """Return what was not sent yet, in order; it is no longer this lane's."""
        waiting = list(self._queue)
        self._queue.clear()
        return waiting

    async def when_idle(self) -> None:
        """Return when nothing waits and nothing is under way."""
        await self._idle.wait()

    async def end(self) -> None:
        """Hang up at once: nobody knows what became of what was sent."""
        if self._overdue_check is not None:
            self._overdue_check.cancel()
        if self._task is not None:
            await end_tasks(self._task)
        self._fail(self.withdraw())
        self._idle.set()
        await self._wire.drop()

    async def close(self) -> None:
        """Finish what was asked, as far as that goes in the timeout, then hang up."""
        try:
            async with asyncio.timeout(2 * self._timeout_s):
                await self._idle.wait()
        except TimeoutError:
            log.error("commands were under way at the end", waiting=len(self._queue))
        await self.end()

    def submit(self, command: Command, done: OnReply, *, waits: bool = False) -> None:
        """Send a command soon; `done` is called later with its reply or what became of it.

        Args:
            command: The command.
            done: Called once, never inside this call.
            waits: It counts only when the replicas have it.
        """
        self.take(Asked(command, done, time.monotonic(), waits))

    def take(self, asked: Asked) -> None:
        """Send what came by another way."""
        if len(self._queue) >= self._max_waiting:
            error = LimitExceeded("too many commands wait for the message store")
            asyncio.get_running_loop().call_soon(asked.done, error)
            return
        self._queue.append(asked)
        self._idle.clear()
        self._wanted.set()

    async def ask(self, command: Command, *, waits: bool = False) -> Reply:
        """Send a command and return its reply; raises SessionError."""
        return await ask(self, command, waits=waits)

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            group = [self._queue.popleft() for _ in range(min(len(self._queue), self._max_group))]
            if group:
                started_s = time.monotonic()
                replies = await self._exchange_surely(group)
                self._on_group(len(group), time.monotonic() - started_s)
                redirects: list[tuple[Asked, Redirect]] = []
                for asked, reply in zip(group, replies, strict=True):
                    if isinstance(reply, Redirect):
                        redirects.append((asked, reply))
                    else:
                        call(asked, reply)
                if redirects and self._on_redirects is not None:
                    self._on_redirects(redirects)
            if not self._queue:
                self._wanted.clear()
                self._idle.set()

    async def _exchange_surely(self, group: Sequence[Asked]) -> list[Reply | SessionError]:
        """Return what became of each command; a defect costs one group, never the lane."""
        try:
            return await self._exchange(group)
        except Exception:
            log.exception("a group of commands failed")
            await self._wire.drop()
            return [EngineTimeout()] * len(group)

    async def _exchange(self, group: Sequence[Asked]) -> list[Reply | SessionError]:
        """Send a group and return what became of each command.

        When the connection ends, what has no reply is sent once more if there is a new one soon, for every command can be done
        twice. So a short absence of the server is a pause, and what waits keeps its order.
        """
        replies: list[Reply | SessionError] = []
        again_until_s: float | None = None
        try:
            while True:
                try:
                    connection = await self._wire.ready()
                except EngineUnavailable as error:
                    self._on_trouble()
                    if again_until_s is None:
                        return [error] * len(group)
                    if time.monotonic() < again_until_s:
                        await asyncio.sleep(AGAIN_S)
                        continue
                    break
                budget_s = max(self._timeout_s / 2, group[0].since_s + self._timeout_s - time.monotonic())
                ended = await self._wire.exchange(connection, group, replies, budget_s)
                if len(replies) == len(group):
                    return replies
                self._on_trouble()
                if not ended or again_until_s is not None:
                    break
                again_until_s = time.monotonic() + AGAIN_WITHIN_S
                for asked in group if self._wire.waits_for_replicas else group[len(replies) :]:
                    asked.in_doubt = True
        except asyncio.CancelledError:
            self._fail(group, EngineTimeout())
            raise
        return replies + [EngineTimeout()] * (len(group) - len(replies))

    # What waits too long.

    def _check_overdue(self) -> None:
        """Give up what has not been sent in time: it will not be."""
        overdue_s = time.monotonic() - self._timeout_s
        overdue: list[Asked] = []
        while self._queue and self._queue[0].since_s <= overdue_s:
            overdue.append(self._queue.popleft())
        self._fail(overdue)
        self._overdue_check = asyncio.get_running_loop().call_later(OVERDUE_CHECK_S, self._check_overdue)

    @staticmethod
    def _fail(commands: Sequence[Asked], error: SessionError | None = None) -> None:
        for asked in commands:
            call(asked, error or EngineUnavailable())
