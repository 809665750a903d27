"""Gives every channel of a Redis store another epoch: for a store that was put back from a backup."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection

from session_service.adapters.redis_access.commands import RENEW, Names, Part, RedisSettings
from session_service.adapters.redis_access.link import FAULTS, Dialer, hang_up
from session_service.adapters.redis_access.servers import RedisServers
from session_service.core.errors import EngineUnavailable

_SCANNED_AT_ONCE: Final = 1000


async def renew_epochs(settings: RedisSettings, timeout_s: float) -> int:
    """Give each channel another epoch, which knows that it is the same as the one before up to the channel's head.

    Not one step for all: when it fails, do it again; channels that had their turn get one more.

    Args:
        settings: Where the store is; the source of epochs.
        timeout_s: Seconds that one command may take.

    Returns:
        How many channels have another epoch.

    Raises:
        EngineUnavailable: a server does not answer, or refuses.
    """
    servers = RedisServers(settings.address, timeout_s=timeout_s)
    await servers.start()
    try:
        return sum([await _renew_on(dialer, settings, timeout_s) for dialer in servers.dialers()])
    finally:
        await servers.close()


async def _renew_on(dialer: Dialer, settings: RedisSettings, timeout_s: float) -> int:
    connection = await dialer.dial()
    pattern = Names(settings.namespace).key("*", "meta")
    try:
        return sum(
            [
                await _command(connection, timeout_s, "EVAL", RENEW.text, 1, key, settings.new_epoch())
                async for key in _keys(connection, timeout_s, pattern)
            ]
        )
    except FAULTS as error:
        raise EngineUnavailable(f"the message store does not answer: {type(error).__name__}") from None
    finally:
        await hang_up(connection)


async def _keys(connection: AbstractConnection, timeout_s: float, pattern: str) -> AsyncIterator[bytes]:
    """Yield the keys that fit a pattern, each once."""
    seen: set[bytes] = set()
    cursor = b"0"
    while True:
        cursor, keys = await _command(
            connection, timeout_s, "SCAN", cursor, "MATCH", pattern, "COUNT", _SCANNED_AT_ONCE
        )
        for key in keys:
            if key not in seen:
                seen.add(key)
                yield key
        if cursor == b"0":
            return


async def _command(connection: AbstractConnection, timeout_s: float, *words: Part) -> Any:
    async with asyncio.timeout(timeout_s):
        await connection.send_command(*words, check_health=False)
        return await connection.read_response(disable_decoding=True)
