"""Every engine that must pass the conformance suite."""

from __future__ import annotations

import asyncio
import atexit
import secrets
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from service_runtime.redis_address import parse_redis_address
from session_service.adapters.engine_redis import renewal as redis_renewal
from session_service.adapters.engine_redis.engine import RedisEngine
from session_service.adapters.engine_sqlite import renewal as sqlite_renewal
from session_service.adapters.engine_sqlite.engine import SqliteEngine
from session_service.adapters.engine_sqlite.ops import WriterSettings
from session_service.adapters.metrics_prometheus import EngineMetrics
from session_service.adapters.redis_access.commands import RedisSettings
from tests.conformance.engine_bench import EngineBench, EngineOptions, EngineUser
from tests.support.redis_cluster import RedisClusterServers
from tests.support.redis_server import RedisServer


class SqliteBench(EngineBench):
    """The embedded engine on a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / "session.db"
        self._epochs = 0

    def make(self, options: EngineOptions) -> SqliteEngine:
        settings = WriterSettings(
            options.retention,
            idempotency_window_s=options.idempotency_window_s,
            max_threads=options.max_threads,
            now_s=self.clock.now,
            monotonic_s=self.clock.monotonic,
            new_epoch=self._new_epoch,
        )
        return SqliteEngine(
            self.path,
            settings,
            timeout_s=10.0,
            max_pending=options.max_pending,
            max_pending_bytes=options.max_pending_bytes,
            metrics=EngineMetrics(CollectorRegistry()),
        )

    async def renew(self) -> int:
        return await asyncio.to_thread(sqlite_renewal.renew_epochs, self.path, self._new_epoch)

    async def maintain(self, user: EngineUser) -> None:
        self.clock.monotonic_s += 1.0
        await user.subscribe("tests/maintenance/scratch")

    def _new_epoch(self) -> str:
        self._epochs += 1
        return f"epoch-{self._epochs}"


@cache
def shared_redis() -> RedisServer:
    """Return the one server of a test run, which ends with it."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    server = RedisServer(Path(folder.name))
    server.start()
    atexit.register(server.stop)
    return server


@cache
def shared_redis_cluster() -> RedisClusterServers:
    """Return the one Redis Cluster of a test run, three masters, which ends with it."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    cluster = RedisClusterServers(Path(folder.name))
    cluster.start()
    atexit.register(cluster.stop)
    return cluster


class RedisBench(EngineBench):
    """The distributed engine, in a namespace of its own; on the run's server unless it is given another."""

    timeout_s = 10.0
    wait_replicas = 0

    def __init__(self, folder: Path, url: str | None = None) -> None:
        super().__init__()
        self.url = url or self.shared_url()
        self.namespace = f"test-{secrets.token_hex(6)}"

    def settings(self, options: EngineOptions) -> RedisSettings:
        """Return what an engine on the store is made with."""
        return RedisSettings(
            parse_redis_address(self.url),
            options.retention,
            namespace=self.namespace,
            idempotency_window_s=options.idempotency_window_s,
            max_threads=options.max_threads,
            wait_replicas=self.wait_replicas,
            new_epoch=lambda: secrets.token_urlsafe(9),
            now_s=self.clock.now,
        )

    def make(self, options: EngineOptions) -> RedisEngine:
        return RedisEngine(
            self.settings(options),
            timeout_s=self.timeout_s,
            max_pending=options.max_pending,
            max_pending_bytes=options.max_pending_bytes,
            metrics=EngineMetrics(CollectorRegistry()),
        )

    async def renew(self) -> int:
        return await redis_renewal.renew_epochs(self.settings(EngineOptions()), self.timeout_s)

    async def maintain(self, user: EngineUser) -> None:
        """Nothing: a channel is looked at whenever it is read or written."""

    @staticmethod
    def shared_url() -> str:
        return shared_redis().url


class RedisClusterBench(RedisBench):
    """The same on the run's Redis Cluster."""

    @staticmethod
    def shared_url() -> str:
        return shared_redis_cluster().url


ENGINES: Final[Mapping[str, Callable[[Path], EngineBench]]] = {
    "sqlite": SqliteBench,
    "redis": RedisBench,
    "redis-cluster": RedisClusterBench,
}
