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
from typing import Final, TypeAlias

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AskError, BusyLoadingError, MovedError, NoScriptError, ReadOnlyError, ResponseError

from service_runtime.logs import get_logger
from service_runtime.redis_address import Node
from session_service.adapters.redis_asking import Asked, OnReply, Redirect, Reply, ask, call
from session_service.adapters.redis_commands import SCRIPTS, Command, Part
from session_service.adapters.redis_facts import ServerFacts, read_facts
from session_service.adapters.redis_link import FAULTS, Dialer, end_task, hang_up
from session_service.core.errors import EngineTimeout, EngineUnavailable, LimitExceeded, SessionError

log = get_logger("session_service.engine_redis")

OVERDUE_CHECK_S: Final = 0.25
REFUSALS_EVERY_S: Final = 1.0
NO_TIMEOUT: Final = float("inf")

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
        self._dialer = dialer
        self._timeout_s = timeout_s
        self._max_waiting = max_waiting
        self._max_group = max_group
        self._wait_replicas = wait_replicas
        self._on_group = on_group
        self._on_redirects = on_redirects
        self._on_trouble = on_trouble
        self._facts: ServerFacts | None = None
        self._refused = 0
        self._refusal = ""
        self._refusals_told_s = -REFUSALS_EVERY_S
        self._queue: deque[Asked] = deque()
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
        self.begin()

    def begin(self) -> None:
        """Take commands; connect when the first one comes."""
        self._task = asyncio.create_task(self._run())
        self._check_overdue()

    @property
    def facts(self) -> ServerFacts | None:
        """What the server says of itself; None before the first connection."""
        return self._facts

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
            await end_task(self._task)
        self._fail(self.withdraw())
        self._idle.set()
        await self._drop()

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
                replies = await self._exchange(group)
                self._log_refusals()
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

    async def _exchange(self, group: Sequence[Asked]) -> list[Reply | SessionError]:
        """Send a group and return what became of each command."""
        try:
            connection = await self._ready()
        except SessionError as error:
            self._on_trouble()
            return [error] * len(group)
        commands = self._words(group)
        replies: list[Reply | SessionError] = []
        budget_s = max(self._timeout_s / 2, group[0].since_s + self._timeout_s - time.monotonic())
        try:
            async with asyncio.timeout(budget_s):
                await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
                for asked in group:
                    if asked.asking:
                        await self._reply(connection)
                    replies.append(await self._reply(connection))
                if commands[-1][0] == "WAIT":
                    return self._replicated(group, replies, await self._reply(connection))
        except FAULTS as error:
            log.error("message store did not answer", error=type(error).__name__, commands=len(commands))
            await self._drop()
            self._on_trouble()
            if len(replies) == len(group):  # only the replicas are in doubt
                return self._replicated(group, replies, 0)
            replies += [EngineTimeout()] * (len(group) - len(replies))
        except asyncio.CancelledError:
            self._fail(group, EngineTimeout())
            raise
        return replies

    def _words(self, group: Sequence[Asked]) -> list[tuple[Part, ...]]:
        """Return what is sent: the commands, stamped where they want it, and at their end what waits for replicas."""
        facts = self._facts
        stamp: tuple[Part, ...] = ("", 0) if facts is None else (facts.run, int(facts.lossless))
        commands: list[tuple[Part, ...]] = []
        for asked in group:
            if asked.asking:
                commands.append(("ASKING",))
            words = asked.command.words
            commands.append(words + stamp if asked.command.stamped else words)
        if self._wait_replicas and any(asked.waits for asked in group):
            commands.append(("WAIT", self._wait_replicas, int(self._timeout_s * 500)))
        return commands

    def _replicated(
        self, group: Sequence[Asked], replies: list[Reply | SessionError], copies: Reply | SessionError
    ) -> list[Reply | SessionError]:
        if not isinstance(copies, SessionError) and copies >= self._wait_replicas:
            return replies
        late = EngineTimeout("too few replicas of the message store have it")
        return [
            late if asked.waits and not isinstance(reply, SessionError | Redirect) else reply
            for asked, reply in zip(group, replies, strict=True)
        ]

    async def _reply(self, connection: AbstractConnection) -> Reply | SessionError:
        try:
            return await connection.read_response(disable_decoding=True, timeout=NO_TIMEOUT, disconnect_on_error=False)
        except NoScriptError:
            self._stale = True  # somebody flushed the scripts: they are loaded with a connection
            return EngineUnavailable()
        except AskError as error:  # MOVED is one too
            return self._redirected(error)
        except ReadOnlyError:
            self._stale = True  # it was the master: look who is
            return EngineUnavailable("the message store is read-only")
        except (ResponseError, BusyLoadingError) as error:
            self._refused += 1
            self._refusal = str(error)
            return EngineUnavailable()

    def _log_refusals(self) -> None:
        """Say once a second what was refused: it may be everything for a while."""
        now_s = time.monotonic()
        if self._refused and now_s >= self._refusals_told_s + REFUSALS_EVERY_S:
            log.error("message store refused commands", error=self._refusal, commands=self._refused)
            self._refused, self._refusals_told_s = 0, now_s

    def _redirected(self, error: AskError) -> Redirect | SessionError:
        if self._on_redirects is None:
            return EngineUnavailable("the message store is a Redis Cluster: its URL begins with redis+cluster://")
        host, port = error.node_addr
        return Redirect(error.slot_id, Node(host, port), not isinstance(error, MovedError))

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
                facts = await read_facts(connection)
                for script in SCRIPTS:
                    await connection.send_command("SCRIPT", "LOAD", script.text, check_health=False)
                    await connection.read_response(timeout=NO_TIMEOUT)
        except FAULTS as error:
            await hang_up(connection)
            log.error("message store does not take commands", error=str(error))
            raise EngineUnavailable from None
        self._connection, self._stale, self._facts = connection, False, facts
        return connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await hang_up(connection)

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
