"""What a Redis server says of itself: which process it is, if it may have lost something when it began, how it keeps data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import BusyLoadingError, ResponseError

MIN_MAJOR_VERSION: Final = 7
NO_REPLICATION_ID: Final = "0" * 40


class RedisFacts(NamedTuple):
    """One server process.

    Args:
        run: Names the process; another one may have taken over after a crash or a fail-over.
        lossless: It has everything that its predecessor confirmed, for it read an append-only file that is flushed before each
            answer, and was never a replica.
        is_cluster: It is one of a Redis Cluster.
        version: Such as `7.0.15`.
        keeps: An append-only file is flushed before each answer.
        may_evict: It drops keys when its memory is full.
        replicas: How many are connected.
    """

    run: str = ""
    lossless: bool = False
    is_cluster: bool = False
    version: str = ""
    keeps: bool = False
    may_evict: bool = False
    replicas: int = 0

    @property
    def problem(self) -> str | None:
        """Why it will not do, for people; None when it will."""
        if int(self.version.partition(".")[0] or 0) < MIN_MAJOR_VERSION:
            return f"is Redis {self.version}; version {MIN_MAJOR_VERSION} or later is needed"
        return None

    @property
    def dangers(self) -> list[str]:
        """What may cost data, for people."""
        found = []
        if not self.keeps:
            found.append("may lose what it confirmed when it crashes; set appendonly yes and appendfsync always")
        if self.may_evict:
            found.append("may evict keys when its memory is full; set maxmemory-policy noeviction")
        return found


async def read_facts(connection: AbstractConnection) -> RedisFacts:
    """Ask a server, on a connection with protocol 2.

    Raises:
        BusyLoadingError: it has begun, and still reads its data.
        RedisError: or whatever else connections raise.
    """
    await connection.send_command("INFO", check_health=False)
    info = _parsed(await connection.read_response(disable_decoding=True))
    if info.get("loading") == "1":
        raise BusyLoadingError("Redis still loads its data")
    keeps = info.get("aof_enabled") == "1" and await _flushes_always(connection)
    return RedisFacts(
        run=info.get("run_id", ""),
        lossless=keeps and info.get("master_replid2", NO_REPLICATION_ID) == NO_REPLICATION_ID,
        is_cluster=info.get("redis_mode") == "cluster",
        version=info.get("redis_version", ""),
        keeps=keeps,
        may_evict=info.get("maxmemory_policy", "noeviction") != "noeviction",
        replicas=int(info.get("connected_slaves", 0)),
    )


async def _flushes_always(connection: AbstractConnection) -> bool:
    """Return if the append-only file is flushed before each answer; not so where nobody may ask."""
    try:
        await connection.send_command("CONFIG", "GET", "appendfsync", check_health=False)
        found = await connection.read_response(disable_decoding=True)
    except ResponseError:
        return False
    return b"always" in found


def _parsed(text: bytes) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in text.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in pairs if colon}
