"""Every key store that must pass the conformance suite. The fake of the unit tests is one of them."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Final

from redis.asyncio import Redis

from auth_service.adapters.store_cached import CachedKeyStore
from auth_service.adapters.store_redis import RedisKeyStore
from auth_service.adapters.store_sqlite import SqliteKeyStore
from auth_service.core.ports import KeyStore
from tests.support.redis_server import RedisServer, free_port
from tests.support.waiting import eventually
from tests.unit.auth_service.fakes import MemoryKeyStore


class StoreBench(ABC):
    """One store; each `open` is another process's life on it."""

    @abstractmethod
    async def open(self, *, change_log_size: int = 1000) -> KeyStore:
        """Open the store; several may be open at once."""

    @abstractmethod
    async def close_all(self) -> None:
        """End every life."""


class MemoryBench(StoreBench):
    """The fake: what is kept is kept by the bench."""

    def __init__(self, folder: Path) -> None:
        self._store: MemoryKeyStore | None = None

    async def open(self, *, change_log_size: int = 1000) -> KeyStore:
        if self._store is None:
            self._store = MemoryKeyStore(change_log_size)
        return self._store

    async def close_all(self) -> None:
        """Nothing is open."""


class SqliteBench(StoreBench):
    """A file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "auth.db"
        self._open: list[SqliteKeyStore] = []

    async def open(self, *, change_log_size: int = 1000) -> KeyStore:
        store = SqliteKeyStore(self.path, timeout_s=10.0, change_log_size=change_log_size)
        self._open.append(store)
        await store.open()
        return store

    async def close_all(self) -> None:
        for store in self._open:
            store.close()


class CachedBench(SqliteBench):
    """A file with the cache of records before it."""

    async def open(self, *, change_log_size: int = 1000) -> KeyStore:
        return CachedKeyStore(await super().open(change_log_size=change_log_size), size=3)


class RedisBench(StoreBench):
    """A Redis that all tests of a run share, with a namespace for each."""

    _servers: ClassVar[dict[type[RedisBench], RedisServer]] = {}

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "redis"
        self._namespace = f"tests-{secrets.token_hex(8)}"
        self._open: list[RedisKeyStore] = []
        self._options: dict[str, str] = {}

    async def open(self, *, change_log_size: int = 1000) -> KeyStore:
        if type(self) not in self._servers:
            server = RedisServer(self._folder, self._options)
            self._servers[type(self)] = server
            server.start()
            await self.prepare(server)
        url = self._servers[type(self)].url
        store = RedisKeyStore(url, namespace=self._namespace, timeout_s=10.0, change_log_size=change_log_size)
        self._open.append(store)
        await store.open()
        return store

    async def close_all(self) -> None:
        for store in self._open:
            await store.close()

    async def prepare(self, server: RedisServer) -> None:
        """Make a new server fit for use."""

    @classmethod
    def stop_servers(cls) -> None:
        """End the servers that tests have started."""
        for server in cls._servers.values():
            server.stop()
        cls._servers.clear()


class RedisClusterBench(RedisBench):
    """A Redis Cluster of one node: what does not lie in one slot fails there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        # Else Redis takes the port 10,000 above its own, which there may not be.
        self._options = {"cluster-enabled": "yes", "cluster-port": str(free_port())}

    async def prepare(self, server: RedisServer) -> None:
        async with Redis.from_url(server.url) as node:
            await node.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)

            async def ok() -> bool:
                return bool((await node.execute_command("CLUSTER INFO"))["cluster_state"] == "ok")

            await eventually(ok)


STORES: Final[Mapping[str, Callable[[Path], StoreBench]]] = {
    "memory": MemoryBench,
    "sqlite": SqliteBench,
    "sqlite-cached": CachedBench,
    "redis": RedisBench,
    "redis-cluster": RedisClusterBench,
}
