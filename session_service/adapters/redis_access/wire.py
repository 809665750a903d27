"""One connection to Redis: made when it is needed, with the scripts loaded, and a group of commands sent over it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AskError, BusyLoadingError, MovedError, NoScriptError, ReadOnlyError, ResponseError

from service_runtime.logs import get_logger
from service_runtime.redis_address import Node
from service_runtime.redis_facts import RedisFacts, read_facts
from session_service.adapters.redis_access.asking import Asked, Redirect, Reply
from session_service.adapters.redis_access.commands import SCRIPTS, Part
from session_service.adapters.redis_access.link import FAULTS, Dialer, hang_up
from session_service.core.errors import EngineTimeout, EngineUnavailable, SessionError

log = get_logger("session_service.engine_redis")

REFUSALS_EVERY_S: Final = 1.0
NO_TIMEOUT: Final = float("inf")


class Wire:
    """Holds the connection.

    Args:
        dialer: Makes it.
        timeout_s: Seconds until a command counts as failed.
        wait_replicas: So many replicas must have what a group wrote.
        in_cluster: It may be told that another server has a key.
    """

    def __init__(self, dialer: Dialer, *, timeout_s: float, wait_replicas: int, in_cluster: bool) -> None:
        self._dialer = dialer
        self._timeout_s = timeout_s
        self._wait_replicas = wait_replicas
        self._in_cluster = in_cluster
        self._connection: AbstractConnection | None = None
        self._stale = False
        self._facts = RedisFacts()
        self._refused = 0
        self._refusal = ""
        self._refusals_told_s = -REFUSALS_EVERY_S

    async def ready(self) -> AbstractConnection:
        """Return a connection that the server has not ended, as far as can be seen; raises EngineUnavailable."""
        connection = self._connection
        if connection is not None:
            try:
                if connection.is_connected and not self._stale and not await connection.can_read():
                    return connection
            except FAULTS:
                pass
            await self.drop()
        return await self._connect()

    async def drop(self) -> None:
        """Hang up. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await hang_up(connection)

    @property
    def waits_for_replicas(self) -> bool:
        """What a group wrote counts only when replicas have it; so all of it is sent once more, if any."""
        return self._wait_replicas > 0

    async def exchange(
        self,
        connection: AbstractConnection,
        group: Sequence[Asked],
        replies: list[Reply | SessionError],
        budget_s: float,
    ) -> bool:
        """Send those commands of a group that have no reply yet, and add their replies.

        Args:
            connection: From `ready`.
            group: The whole group.
            replies: Those that it has.
            budget_s: Seconds that this may take.

        Returns:
            Whether the connection ended before all had replies; not so when time was over.
        """
        if self.waits_for_replicas:
            replies.clear()  # WAIT would not cover what was written on another connection
        rest = group[len(replies) :]
        commands = self._words(rest)
        ended = False
        try:
            async with asyncio.timeout(budget_s):
                await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
                for asked in rest:
                    if asked.asking:
                        await self._reply(connection)
                    replies.append(await self._reply(connection))
                if commands[-1][0] == "WAIT":
                    self._judge(group, replies, await self._reply(connection))
        except FAULTS as error:
            ended = not isinstance(error, TimeoutError)
            log.error("message store did not answer", error=type(error).__name__, commands=len(commands))
            await self.drop()
            if len(replies) == len(group):  # only the replicas are in doubt
                self._judge(group, replies, 0)
        self._tell_refusals()
        return ended

    def _words(self, group: Sequence[Asked]) -> list[tuple[Part, ...]]:
        """Return what is sent: the commands, stamped where they want it, and at their end what waits for replicas."""
        stamp: tuple[Part, ...] = (self._facts.run, int(self._facts.lossless))
        commands: list[tuple[Part, ...]] = []
        for asked in group:
            if asked.asking:
                commands.append(("ASKING",))
            words = asked.command.words
            commands.append(words + stamp if asked.command.stamped else words)
        if self._wait_replicas and any(asked.waits for asked in group):
            commands.append(("WAIT", self._wait_replicas, int(self._timeout_s * 500)))
        return commands

    def _judge(self, group: Sequence[Asked], replies: list[Reply | SessionError], copies: Reply | SessionError) -> None:
        """Take back what too few replicas have."""
        if not isinstance(copies, SessionError) and copies >= self._wait_replicas:
            return
        late = EngineTimeout("too few replicas of the message store have it")
        for place, asked in enumerate(group):
            if asked.waits and not isinstance(replies[place], SessionError | Redirect):
                replies[place] = late

    async def _reply(self, connection: AbstractConnection) -> Reply | SessionError:
        try:
            return await connection.read_response(disable_decoding=True, timeout=NO_TIMEOUT, disconnect_on_error=False)
        except NoScriptError:
            self._stale = True  # somebody flushed the scripts: they are loaded with a connection
            return EngineUnavailable()
        except AskError as error:  # MOVED is one too
            return self._redirect(error)
        except ReadOnlyError:
            self._stale = True  # it was the master: look who is
            return EngineUnavailable("the message store is read-only")
        except (ResponseError, BusyLoadingError) as error:
            self._refused += 1
            self._refusal = str(error)
            return EngineUnavailable()

    def _redirect(self, error: AskError) -> Redirect | SessionError:
        if not self._in_cluster:
            return EngineUnavailable("the message store is a Redis Cluster: its URL begins with redis+cluster://")
        host, port = error.node_addr
        return Redirect(error.slot_id, Node(host, port), not isinstance(error, MovedError))

    def _tell_refusals(self) -> None:
        """Say once a second what was refused: it may be everything for a while."""
        now_s = time.monotonic()
        if self._refused and now_s >= self._refusals_told_s + REFUSALS_EVERY_S:
            log.error("message store refused commands", error=self._refusal, commands=self._refused)
            self._refused, self._refusals_told_s = 0, now_s

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
