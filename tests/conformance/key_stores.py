"""Every key store that must pass the conformance suite. The fake of the unit tests is one of them."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Final, Protocol

from auth_service.adapters.store_cached import CachedKeyStore
from auth_service.adapters.store_redis.store import RedisKeyStore
from auth_service.adapters.store_sqlite.store import SqliteKeyStore
from auth_service.core.ports import KeyStore
from service_runtime.redis_address import parse_redis_address
from tests.support.redis_access import Certificate, RedisAccess
from tests.support.redis_cluster import RedisClusterServers
from tests.support.redis_sentinel import RedisSentinel
from tests.support.redis_server import RedisServer
from tests.unit.auth_service.fakes import MemoryKeyStore


class StoreBench(ABC):
    """One store; each `open` is another process's life on it."""

    @abstractmethod
    async def open(self, *, change_log_size: int = 1000, audit_log_size: int = 1000, max_keys: int = 1000) -> KeyStore:
        """Open the store; several may be open at once."""

    @abstractmethod
    async def close_all(self) -> None:
        """End every life."""


class MemoryBench(StoreBench):
    """The fake: what is kept is kept by the bench."""

    def __init__(self, folder: Path) -> None:
        self._store: MemoryKeyStore | None = None

    async def open(self, *, change_log_size: int = 1000, audit_log_size: int = 1000, max_keys: int = 1000) -> KeyStore:
        if self._store is None:
            self._store = MemoryKeyStore(change_log_size, audit_log_size)
        self._store.max_keys = max_keys
        return self._store

    async def close_all(self) -> None:
        """Nothing is open."""


class SqliteBench(StoreBench):
    """A file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "auth.db"
        self._open: list[SqliteKeyStore] = []

    async def open(self, *, change_log_size: int = 1000, audit_log_size: int = 1000, max_keys: int = 1000) -> KeyStore:
        store = SqliteKeyStore(
            self.path,
            timeout_s=10.0,
            change_log_size=change_log_size,
            audit_log_size=audit_log_size,
            max_keys=max_keys,
        )
        self._open.append(store)
        await store.open()
        return store

    async def close_all(self) -> None:
        for store in self._open:
            store.close()


class CachedBench(SqliteBench):
    """A file with the cache of records before it."""

    async def open(self, *, change_log_size: int = 1000, audit_log_size: int = 1000, max_keys: int = 1000) -> KeyStore:
        store = await super().open(change_log_size=change_log_size, audit_log_size=audit_log_size, max_keys=max_keys)
        return CachedKeyStore(store, size=3)


class Topology(Protocol):
    """Redis servers of `tests/support`."""

    @property
    def url(self) -> str:
        """Where clients find them."""

    def start(self) -> None:
        """Start them."""

    def stop(self) -> None:
        """End them."""


class RedisBench(StoreBench):
    """A Redis that all tests of a run share, with a namespace for each."""

    wait_replicas = 0
    _servers: ClassVar[dict[type[RedisBench], Topology]] = {}

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "redis"
        self._namespace = f"tests-{secrets.token_hex(8)}"
        self._open: list[RedisKeyStore] = []

    async def open(self, *, change_log_size: int = 1000, audit_log_size: int = 1000, max_keys: int = 1000) -> KeyStore:
        if type(self) not in self._servers:
            self._servers[type(self)] = self.make_servers(self._folder)
            self._servers[type(self)].start()
        store = RedisKeyStore(
            parse_redis_address(self.url_of(self._servers[type(self)])),
            namespace=self._namespace,
            timeout_s=10.0,
            change_log_size=change_log_size,
            audit_log_size=audit_log_size,
            wait_replicas=self.wait_replicas,
            max_keys=max_keys,
        )
        self._open.append(store)
        await store.open()
        return store

    async def close_all(self) -> None:
        for store in self._open:
            await store.close()

    def make_servers(self, folder: Path) -> Topology:
        """Return the servers, not yet started."""
        return RedisServer(folder)

    def url_of(self, servers: Topology) -> str:
        """Return the URL to use."""
        return servers.url

    @classmethod
    def stop_servers(cls) -> None:
        """End the servers that tests have started."""
        for servers in cls._servers.values():
            servers.stop()
        cls._servers.clear()


class RedisTlsBench(RedisBench):
    """A Redis that speaks TLS only, and wants a password."""

    def make_servers(self, folder: Path) -> Topology:
        return RedisServer(folder, access=RedisAccess("conformance-password", Certificate.make(folder / "tls")))


class RedisUnixBench(RedisBench):
    """A Redis behind a Unix socket, with a password."""

    def make_servers(self, folder: Path) -> Topology:
        return RedisServer(folder, {"unixsocket": str(folder / "socket")}, RedisAccess("conformance-password"))

    def url_of(self, servers: Topology) -> str:
        assert isinstance(servers, RedisServer)
        return servers.unix_url


class RedisSentinelBench(RedisBench):
    """A Redis that is found through Sentinels, and confirms what its replica has."""

    wait_replicas = 1

    def make_servers(self, folder: Path) -> Topology:
        return RedisSentinel(folder, sentinels=1, down_after_ms=10_000)


class RedisClusterBench(RedisBench):
    """A Redis Cluster of three: what does not lie in one slot fails there."""

    def make_servers(self, folder: Path) -> Topology:
        return RedisClusterServers(folder, masters=3)


STORES: Final[Mapping[str, Callable[[Path], StoreBench]]] = {
    "memory": MemoryBench,
    "sqlite": SqliteBench,
    "sqlite-cached": CachedBench,
    "redis": RedisBench,
    "redis-tls": RedisTlsBench,
    "redis-unix": RedisUnixBench,
    "redis-sentinel": RedisSentinelBench,
    "redis-cluster": RedisClusterBench,
}
