"""Finds the master through its Sentinels, anew for each connection: after a fail-over the next one goes to the new master.

As the Sentinel client guidelines of Redis have it: the first Sentinel that answers is believed, and the server must say
itself that it is a master.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio.connection import AbstractConnection

from service_runtime.logs import get_logger
from service_runtime.redis_address import Node, RedisAddress
from session_service.adapters.redis_access.link import FAULTS, MAX_CONNECT_S, connect, hang_up, plain_options
from session_service.core.errors import EngineUnavailable

log = get_logger("session_service.engine_redis")


class SentinelDialer:
    """Makes connections to the master.

    Args:
        address: The Sentinels, and the name that they know the servers by.
        timeout_s: Seconds that a connection may take, at most `MAX_CONNECT_S`.
    """

    def __init__(self, address: RedisAddress, timeout_s: float) -> None:
        self._address = address
        self._sentinels = list(address.nodes)
        self._timeout_s = min(timeout_s, MAX_CONNECT_S)

    async def dial(self) -> AbstractConnection:
        """Return a connection to the master; raises EngineUnavailable."""
        for sentinel in list(self._sentinels):
            try:
                master = await self._ask(sentinel)
            except EngineUnavailable as error:
                log.warning("Sentinel does not answer", error=str(error), host=sentinel.host, port=sentinel.port)
                continue
            if master is not None:
                # The next connection begins with the one that answered.
                self._sentinels.remove(sentinel)
                self._sentinels.insert(0, sentinel)
                return await self._dial_master(master)
        raise EngineUnavailable("no Sentinel knows a master of the message store")

    async def _ask(self, sentinel: Node) -> Node | None:
        options = plain_options(self._timeout_s)
        connection = await connect(self._address.sentinel_connection(sentinel, **options), self._timeout_s)
        try:
            found = await _reply(connection, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._address.service)
        finally:
            await hang_up(connection)
        return None if found is None else Node(found[0].decode(), int(found[1]))

    async def _dial_master(self, master: Node) -> AbstractConnection:
        connection = await connect(self._address.connection(master, **plain_options(self._timeout_s)), self._timeout_s)
        try:
            role = await _reply(connection, "ROLE")
        except EngineUnavailable:
            await hang_up(connection)
            raise
        if role[0] != b"master":
            await hang_up(connection)
            raise EngineUnavailable("the master of the message store is not promoted yet")
        return connection


async def _reply(connection: AbstractConnection, *command: str) -> Any:
    try:
        await connection.send_command(*command, check_health=False)
        return await connection.read_response(disable_decoding=True)
    except FAULTS as error:
        raise EngineUnavailable(f"the message store did not answer: {type(error).__name__}") from None
