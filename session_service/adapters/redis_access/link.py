"""Connections to Redis: how one is made, and what an error of the driver means for what was sent."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from service_runtime.redis_address import Node, RedisAddress
from session_service.core.errors import EngineUnavailable

MAX_CONNECT_S: Final = 2.0

FAULTS: Final = (RedisError, OSError, TimeoutError, asyncio.IncompleteReadError, RuntimeError)
"""What a connection that does not work raises; RuntimeError: uvloop, when something is written to a closed transport."""


class Dialer(Protocol):
    """Makes connections to the server that is to be asked now."""

    async def dial(self) -> AbstractConnection:
        """Return a connection that is ready for commands; raises EngineUnavailable."""


class NodeDialer:
    """Makes connections to one server. They never try again by themselves: whoever uses one knows what was sent.

    Args:
        address: Who we are, and where the server is.
        timeout_s: Seconds that a connection may take, at most `MAX_CONNECT_S`.
        node: The server; None: the one that the address names.
    """

    def __init__(self, address: RedisAddress, timeout_s: float, node: Node | None = None) -> None:
        self._address = address
        self._node = node
        self._timeout_s = min(timeout_s, MAX_CONNECT_S)

    async def dial(self) -> AbstractConnection:
        """Return a connection that is ready for commands; raises EngineUnavailable."""
        return await connect(self._address.connection(self._node, **plain_options(self._timeout_s)), self._timeout_s)


def plain_options(timeout_s: float) -> dict[str, Any]:
    """Return arguments for a connection that does what it is told and nothing else."""
    return {
        "protocol": 2,
        "decode_responses": False,
        "health_check_interval": 0,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": timeout_s,
    }


async def connect(connection: AbstractConnection, timeout_s: float) -> AbstractConnection:
    """Return the connection when it is ready for commands; raises EngineUnavailable."""
    try:
        async with asyncio.timeout(timeout_s):
            await connection.connect_check_health(check_health=False)
    except FAULTS as error:
        await hang_up(connection)
        raise EngineUnavailable(f"no connection to the message store: {type(error).__name__}") from None
    except BaseException:
        await hang_up(connection)
        raise
    return connection


async def hang_up(connection: AbstractConnection) -> None:
    """End a connection at once. Idempotent."""
    await connection.disconnect(nowait=True)
