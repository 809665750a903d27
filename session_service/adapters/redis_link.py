"""Connections to Redis: how one is made from a URL, and what an error of the driver means for what was sent."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from session_service.core.errors import EngineUnavailable

MAX_CONNECT_S: Final = 2.0
CANCEL_AGAIN_S: Final = 0.05

FAULTS: Final = (RedisError, OSError, TimeoutError, asyncio.IncompleteReadError)
"""What a connection that does not work raises."""


class Dialer:
    """Makes connections of one server. They never try again by themselves: whoever uses one knows what was sent.

    Args:
        url: Where it is, and who we are.
        timeout_s: Seconds that a connection may take, at most `MAX_CONNECT_S`.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        options: dict[str, Any] = dict(parse_url(url))
        self._class: type[AbstractConnection] = options.pop("connection_class", Connection)
        self._timeout_s = min(timeout_s, MAX_CONNECT_S)
        self._options = options | {
            "protocol": 2,
            "decode_responses": False,
            "health_check_interval": 0,
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": self._timeout_s,
        }

    async def dial(self) -> AbstractConnection:
        """Return a connection that is ready for commands.

        Raises:
            EngineUnavailable: there is none.
        """
        connection = self._class(**self._options)
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.connect_check_health(check_health=False)
        except FAULTS as error:
            await hang_up(connection)
            raise EngineUnavailable(f"no connection to the message store: {type(error).__name__}") from None
        return connection


async def hang_up(connection: AbstractConnection) -> None:
    """End a connection at once. Idempotent."""
    await connection.disconnect(nowait=True)


async def end_task(task: asyncio.Task[None], again_s: float = CANCEL_AGAIN_S) -> None:
    """Cancel a task and wait for its end: again and again, for what the driver waits for may swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=again_s)
