"""One connection on which commands go in groups: what a tick of the event loop asks is sent together, answered in order.

What comes while a group is under way makes the next one. What becomes of a command is always said, within about one and a
half times the timeout: its reply; `EngineUnavailable` when it was not sent, or the server refused it (READONLY, OOM,
LOADING, ...); `EngineTimeout` when it was sent and no reply came, so that nobody knows.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import BusyLoadingError, NoScriptError, ResponseError

from service_runtime.logs import get_logger
from session_service.adapters.redis_commands import SCRIPTS, Command
from session_service.adapters.redis_link import FAULTS, Dialer, end_task, hang_up
from session_service.core.errors import EngineTimeout, EngineUnavailable, LimitExceeded, SessionError

log = get_logger("session_service.engine_redis")

OVERDUE_CHECK_S: Final = 0.25
NO_TIMEOUT: Final = float("inf")

Reply: TypeAlias = Any
OnReply: TypeAlias = Callable[[Reply | SessionError], None]
OnGroup: TypeAlias = Callable[[int, float], None]


class _Asked:
    __slots__ = ("command", "done", "since_s", "waits")

    def __init__(self, command: Command, done: OnReply, since_s: float, waits: bool) -> None:
        self.command = command
        self.done = done
        self.since_s = since_s
        self.waits = waits


class Lane:
    """Sends commands, and calls back with what became of each.

    Args:
        dialer: Makes the connection, again and again if need be.
        timeout_s: Seconds until a command counts as failed.
        max_waiting: Commands that may wait to be sent.
        max_group: Commands sent together.
        wait_replicas: So many replicas must have what a group wrote.
        on_group: Called with the size of each group and the seconds that it took.
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
    ) -> None:
        self._dialer = dialer
        self._timeout_s = timeout_s
        self._max_waiting = max_waiting
        self._max_group = max_group
        self._wait_replicas = wait_replicas
        self._on_group = on_group
        self._queue: deque[_Asked] = deque()
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._connection: AbstractConnection | None = None
        self._stale = False
        self._task: asyncio.Task[None] | None = None
        self._overdue_check: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Connect; raises EngineUnavailable."""
        await self._connect()
        self._task = asyncio.create_task(self._run())
        self._check_overdue()

    async def close(self) -> None:
        """Finish what was asked, as far as that goes in the timeout, then hang up."""
        try:
            async with asyncio.timeout(2 * self._timeout_s):
                await self._idle.wait()
        except TimeoutError:
            log.error("commands were under way at the end", waiting=len(self._queue))
        if self._overdue_check is not None:
            self._overdue_check.cancel()
        if self._task is not None:
            await end_task(self._task)
        self._fail(list(self._queue))
        self._queue.clear()
        await self._drop()

    def submit(self, command: Command, done: OnReply, *, waits: bool = False) -> None:
        """Send a command soon; `done` is called later with its reply or what became of it.

        Args:
            command: The command.
            done: Called once, never inside this call.
            waits: It counts only when the replicas have it.
        """
        if len(self._queue) >= self._max_waiting:
            asyncio.get_running_loop().call_soon(done, LimitExceeded("too many commands wait for the message store"))
            return
        self._queue.append(_Asked(command, done, time.monotonic(), waits))
        self._idle.clear()
        self._wanted.set()

    async def ask(self, command: Command, *, waits: bool = False) -> Reply:
        """Send a command and return its reply; raises SessionError."""
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def done(reply: Reply | SessionError) -> None:
            if answer.done():
                return
            if isinstance(reply, SessionError):
                answer.set_exception(reply)
            else:
                answer.set_result(reply)

        self.submit(command, done, waits=waits)
        return await answer

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            group = [self._queue.popleft() for _ in range(min(len(self._queue), self._max_group))]
            if group:
                started_s = time.monotonic()
                replies = await self._exchange(group)
                self._on_group(len(group), time.monotonic() - started_s)
                for asked, reply in zip(group, replies, strict=True):
                    _call(asked, reply)
            if not self._queue:
                self._wanted.clear()
                self._idle.set()

    async def _exchange(self, group: Sequence[_Asked]) -> list[Reply | SessionError]:
        """Send a group and return what became of each command."""
        try:
            connection = await self._ready()
        except SessionError as error:
            return [error] * len(group)
        commands: list[Command] = [asked.command for asked in group]
        if self._wait_replicas and any(asked.waits for asked in group):
            commands.append(("WAIT", self._wait_replicas, int(self._timeout_s * 500)))
        replies: list[Reply | SessionError] = []
        budget_s = max(self._timeout_s / 2, group[0].since_s + self._timeout_s - time.monotonic())
        try:
            async with asyncio.timeout(budget_s):
                await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
                while len(replies) < len(commands):
                    replies.append(await self._reply(connection))
        except FAULTS as error:
            log.error("message store did not answer", error=type(error).__name__, commands=len(commands))
            await self._drop()
            replies += [EngineTimeout()] * (len(commands) - len(replies))
        except asyncio.CancelledError:
            self._fail(group, EngineTimeout())
            raise
        return self._replicated(group, replies)

    def _replicated(self, group: Sequence[_Asked], replies: list[Reply | SessionError]) -> list[Reply | SessionError]:
        if len(replies) == len(group):
            return replies
        copies = replies.pop()
        if not isinstance(copies, SessionError) and copies >= self._wait_replicas:
            return replies
        late = EngineTimeout("too few replicas of the message store have it")
        return [
            late if asked.waits and not isinstance(reply, SessionError) else reply
            for asked, reply in zip(group, replies, strict=True)
        ]

    async def _reply(self, connection: AbstractConnection) -> Reply | SessionError:
        try:
            return await connection.read_response(disable_decoding=True, timeout=NO_TIMEOUT, disconnect_on_error=False)
        except NoScriptError:
            self._stale = True  # somebody flushed the scripts: they are loaded with a connection
            return EngineUnavailable()
        except (ResponseError, BusyLoadingError) as error:
            log.error("message store refused a command", error=str(error))
            return EngineUnavailable()

    # The connection.

    async def _ready(self) -> AbstractConnection:
        """Return a connection that the server has not ended, as far as can be seen."""
        connection = self._connection
        if connection is not None:
            try:
                if connection.is_connected and not self._stale and not await connection.can_read():
                    return connection
            except FAULTS:
                pass
            await self._drop()
        return await self._connect()

    async def _connect(self) -> AbstractConnection:
        connection = await self._dialer.dial()
        try:
            async with asyncio.timeout(self._timeout_s):
                for script in SCRIPTS:
                    await connection.send_command("SCRIPT", "LOAD", script.text, check_health=False)
                    await connection.read_response(timeout=NO_TIMEOUT)
        except FAULTS as error:
            await hang_up(connection)
            log.error("message store does not take commands", error=str(error))
            raise EngineUnavailable from None
        self._connection, self._stale = connection, False
        return connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await hang_up(connection)

    # What waits too long.

    def _check_overdue(self) -> None:
        """Give up what has not been sent in time: it will not be."""
        overdue_s = time.monotonic() - self._timeout_s
        overdue: list[_Asked] = []
        while self._queue and self._queue[0].since_s <= overdue_s:
            overdue.append(self._queue.popleft())
        self._fail(overdue)
        self._overdue_check = asyncio.get_running_loop().call_later(OVERDUE_CHECK_S, self._check_overdue)

    @staticmethod
    def _fail(commands: Sequence[_Asked], error: SessionError | None = None) -> None:
        for asked in commands:
            _call(asked, error or EngineUnavailable())


def _call(asked: _Asked, reply: Reply | SessionError) -> None:
    try:
        asked.done(reply)
    except Exception as error:
        log.error("a callback failed", exc_info=error)
