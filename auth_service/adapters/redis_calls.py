"""Calls to Redis with a deadline: scripts by their digest, every fault one error, no word of the driver let out.

Nothing is repeated here: when a connection breaks, a change may have been made, and only the caller knows whether
making it again is safe. Connections that broke while they were idle are replaced before they are used.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from auth_service.adapters import metrics
from auth_service.core.errors import StoreUnavailableError
from service_runtime.logs import get_logger

T = TypeVar("T")

# Calls that wait for an answer at most; one more is refused at once.
MAX_WAITING_CALLS: Final = 1024
MAX_CONNECTIONS: Final = 32
MIN_MAJOR_VERSION: Final = 7
_UNAVAILABLE: Final = "the key store did not answer; the call may be repeated"
_FAULTS: Final = (RedisError, RedisClusterException, OSError, TimeoutError)
_FOLDER: Final = Path(__file__).with_name("redis_scripts")
# Scripts that write get the shared head before them; Redis refuses to begin one when it could not finish it.
_WRITING: Final = ("put", "remove", "expire", "peppers")
_READING: Final = ("due", "page", "changes")

log = get_logger("auth_service.store")


def shown_url(url: str) -> str:
    """Return where a store is, without its password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _texts() -> dict[str, bytes]:
    head = (_FOLDER / "change_log.lua").read_bytes()
    writing = {name: b"#!lua\n" + head + (_FOLDER / f"{name}.lua").read_bytes() for name in _WRITING}
    reading = {name: b"#!lua flags=no-writes\n" + (_FOLDER / f"{name}.lua").read_bytes() for name in _READING}
    return writing | reading


class RedisCalls:
    """One Redis, or a Redis Cluster. Open it with `open`, close it with `close`.

    Args:
        url: `redis://`, `rediss://` or `unix://`; a password in it is shown nowhere.
        timeout_s: how long a call may take, waiting included.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._waiting = 0
        self._scripts = _texts()
        self._digests = {
            name: hashlib.sha1(text, usedforsecurity=False).hexdigest() for name, text in self._scripts.items()
        }
        self._client: Redis | RedisCluster | None = None

    @property
    def where(self) -> str:
        """Where the store is, for people."""
        return shown_url(self._url)

    async def open(self) -> None:
        """Connect, and see that it is a Redis that will do.

        Raises:
            StoreUnavailableError: it cannot be reached, refuses the password, or is too old.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                self._client = self._single()
                info: Mapping[str, Any] = await self._client.info()
                if info.get("redis_mode") == "cluster":
                    await self._client.aclose()
                    self._client = self._cluster()
                    await self._client.initialize()
        except (*_FAULTS, ValueError, TypeError) as error:  # the last two for options in the URL that are none
            await self.close()
            raise StoreUnavailableError(f"the key store {self.where} cannot be opened: {error}") from None
        version = str(info.get("redis_version", ""))
        if int(version.partition(".")[0] or 0) < MIN_MAJOR_VERSION:
            await self.close()
            raise StoreUnavailableError(
                f"the key store {self.where} is Redis {version}; version {MIN_MAJOR_VERSION} or later is needed"
            )
        self._warn_of_losses(info)

    async def close(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def command(self, *words: str | bytes | int) -> Any:
        """Run a command. To be awaited inside `within_deadline`."""
        if self._client is None:
            raise StoreUnavailableError("the key store is closed")
        return await self._client.execute_command(*words)

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        """Run one of the scripts. To be awaited inside `within_deadline`."""
        try:
            return await self.command("EVALSHA", self._digests[name], len(keys), *keys, *arguments)
        except NoScriptError:  # a Redis that restarted has forgotten it, and has done nothing
            return await self.command("EVAL", self._scripts[name], len(keys), *keys, *arguments)

    async def within_deadline(self, work: Awaitable[T]) -> T:
        """Wait for some calls that are one to the caller.

        Raises:
            StoreUnavailableError: they failed, took too long, or too many are waiting.
        """
        self._waiting += 1
        try:
            async with asyncio.timeout(self._timeout_s if self._waiting <= MAX_WAITING_CALLS else 0):
                return await work
        except _FAULTS as error:
            metrics.STORE_ERRORS.inc()
            log.error("store failed", error=f"{type(error).__name__}: {error}", store=self.where)
            raise StoreUnavailableError(_UNAVAILABLE) from None
        finally:
            self._waiting -= 1

    def _single(self) -> Redis:
        pool = BlockingConnectionPool.from_url(
            self._url, max_connections=MAX_CONNECTIONS, timeout=self._timeout_s, **self._options()
        )
        return Redis.from_pool(pool)

    def _cluster(self) -> RedisCluster:
        return RedisCluster.from_url(self._url, max_connections=MAX_CONNECTIONS, **self._options())

    def _options(self) -> dict[str, Any]:
        return {
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": self._timeout_s,
            "socket_connect_timeout": self._timeout_s,
            "socket_keepalive": True,
        }

    def _warn_of_losses(self, info: Mapping[str, Any]) -> None:
        if not info.get("aof_enabled"):
            log.warning(
                "the key store's Redis keeps no append-only file: revocations may be lost when it crashes;"
                " set appendonly yes and appendfsync always",
                store=self.where,
            )
        if str(info.get("maxmemory_policy", "")).startswith("allkeys"):
            log.warning(
                "the key store's Redis may evict keys when its memory is full; set maxmemory-policy noeviction",
                store=self.where,
            )
