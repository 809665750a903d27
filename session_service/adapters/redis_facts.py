"""What a server says of itself: which process it is, if it may have lost something when it began, how it keeps data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from service_runtime.logs import get_logger
from session_service.core.errors import EngineUnavailable

log = get_logger("session_service.engine_redis")

MIN_MAJOR_VERSION: Final = 7
NO_REPLICATION_ID: Final = "0" * 40


class ServerFacts(NamedTuple):
    """One server process.

    `run`: names the process; another one may have taken over after a crash or a fail-over. `lossless`: it has everything that
    its predecessor confirmed, for it read an append-only file that is flushed before each answer, and was never a replica.
    """

    run: str
    lossless: bool
    is_cluster: bool
    version: str
    appends: bool
    may_evict: bool

    @classmethod
    def unknown(cls) -> ServerFacts:
        """Return those of a server that was not asked yet."""
        return cls("", False, False, "", False, False)

    def check(self) -> None:
        """Refuse a server that is too old, and warn of one that loses data.

        Raises:
            EngineUnavailable: it is too old.
        """
        if int(self.version.partition(".")[0] or 0) < MIN_MAJOR_VERSION:
            raise EngineUnavailable(
                f"the message store is Redis {self.version}; {MIN_MAJOR_VERSION} or later is needed"
            )
        if not self.appends:
            log.warning(
                "the message store's Redis may lose what it confirmed when it crashes;"
                " set appendonly yes and appendfsync always"
            )
        if self.may_evict:
            log.warning("the message store's Redis may evict keys when it is full; set maxmemory-policy noeviction")


async def read_facts(connection: AbstractConnection) -> ServerFacts:
    """Ask a server; raises what connections raise."""
    await connection.send_command("INFO", check_health=False)
    info = _parsed(await connection.read_response(disable_decoding=True))
    appends = info.get("aof_enabled") == "1" and await _flushes_always(connection)
    return ServerFacts(
        info.get("run_id", ""),
        appends and info.get("master_replid2", NO_REPLICATION_ID) == NO_REPLICATION_ID,
        info.get("redis_mode") == "cluster",
        info.get("redis_version", ""),
        appends,
        info.get("maxmemory_policy", "noeviction") != "noeviction",
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
