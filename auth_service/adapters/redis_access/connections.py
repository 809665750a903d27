"""A bounded number of connections to the server that is to be asked now; what leads elsewhere or broke is closed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from auth_service.adapters.redis_access.master import RedisMaster, Words, call
from service_runtime.redis_address import Node, RedisAddress, Topology
from service_runtime.redis_facts import RedisFacts, read_facts

MAX_CONNECTIONS: Final = 32

OnServer = Callable[["Line", RedisFacts], Awaitable[None]]


class NotMasterError(RedisError):
    """The server that was named as the master says that it is none; nothing was done."""


# Nothing was done; it may be when the servers agree again on who the master is, or when a slot has moved.
REFUSALS: Final = (ReadOnlyError, NotMasterError, ClusterDownError, TryAgainError)


@dataclass(frozen=True, slots=True)
class Line:
    """A connection that one call has for itself.

    Args:
        connection: Connected.
        node: Whereto; None: where the URL says.
        asking: The server is about to take the slot over, and answers only who says that it knows.
    """

    connection: AbstractConnection
    node: Node | None
    asking: bool = False

    async def call(self, *words: Words) -> Any:
        """Run a command."""
        if self.asking:
            await call(self.connection, "ASKING")
        return await call(self.connection, *words)

    def at(self, elsewhere: AskError) -> Node:
        """Return the server that an answer of this one names; without a host it is on the same."""
        host = elsewhere.host or (self.node.host if self.node else "")
        return Node(host, elsewhere.port)


class RedisConnections:
    """The connections of one store.

    Args:
        address: What the URL says.
        master: Says where to connect.
        options: Arguments of redis-py's connections.
        on_server: Called with the first connection to a server process, before anything else is asked of it.
    """

    def __init__(
        self, address: RedisAddress, master: RedisMaster, options: Mapping[str, Any], on_server: OnServer
    ) -> None:
        self._address = address
        self._master = master
        self._options = options
        self._on_server = on_server
        self._run = ""
        self._idle: list[Line] = []
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)

    @asynccontextmanager
    async def line(self, asking: Node | None = None) -> AsyncIterator[Line]:
        """Lend a connection to the master, or to the server that a slot is moving to.

        It is kept for others if every command on it was answered, be it with an error; else it is closed.

        Raises:
            RedisError: none can be had.
        """
        async with self._places:
            line = await self._connected(asking, asking=True) if asking else await self._to_master()
            answered = False
            try:
                yield line
                answered = True
            except ResponseError as answer:
                answered = True
                self._learn_from(line, answer)
                raise
            except (RedisError, OSError, asyncio.CancelledError):
                self._master.doubt(line.node)
                raise
            finally:
                if answered and not line.asking:
                    self._idle.append(line)
                else:
                    await line.connection.disconnect(nowait=True)

    @property
    def may_lead_elsewhere(self) -> bool:
        """Whether what one server refuses another may do."""
        return self._master.may_change

    async def close(self) -> None:
        """Close what nobody uses."""
        while self._idle:
            await self._idle.pop().connection.disconnect()

    def _learn_from(self, line: Line, answer: ResponseError) -> None:
        if isinstance(answer, MovedError):
            self._master.moved(line.at(answer))
        elif isinstance(answer, REFUSALS):
            self._master.doubt(line.node)

    async def _to_master(self) -> Line:
        node = await self._master.find()
        while self._idle:
            line = self._idle.pop()
            if line.node == node and not await _broken(line.connection):
                return line
            await line.connection.disconnect(nowait=True)
        try:
            return await self._connected(node)
        except (RedisError, OSError):
            # Nothing was asked yet: if there is a new master by now, it may be.
            self._master.doubt(node)
            if not self._master.may_change or (other := await self._master.find()) == node:
                raise
            return await self._connected(other)

    async def _connected(self, node: Node | None, *, asking: bool = False) -> Line:
        connection = self._address.connection(node, **self._options)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            if self._address.topology is Topology.SENTINEL and (await call(connection, "ROLE"))[0] != b"master":
                self._master.doubt(node)
                raise NotMasterError("the server that the Sentinels name is no master")
            line = Line(connection, node, asking)
            if not asking:
                await self._greet(line)
        except ResponseError as answer:
            self._learn_from(Line(connection, node), answer)
            await connection.disconnect(nowait=True)
            raise
        except RuntimeError as error:  # of uvloop, when something is written to a closed transport
            await connection.disconnect(nowait=True)
            raise RedisConnectionError(str(error)) from None
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return line

    async def _greet(self, line: Line) -> None:
        facts = await read_facts(line.connection)
        if facts.run != self._run:
            await self._on_server(line, facts)
            self._run = facts.run


async def _broken(connection: AbstractConnection) -> bool:
    """Return whether a connection that waits has something to read: that it was closed, or an answer too many."""
    try:
        return bool(await connection.can_read())
    except (RedisError, OSError):
        return True
