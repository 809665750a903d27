"""Session services that share something: their hubs and clusters, without edges and engines, and all that they were told."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import secrets
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry

from service_runtime.clock import SystemClock
from service_runtime.redis_address import parse_redis_address
from session_service.adapters.cluster_local import LocalCluster
from session_service.adapters.cluster_redis.cluster import SharedCluster
from session_service.adapters.cluster_redis.words import Words, decode_presence, process_of
from session_service.adapters.metrics_prometheus import ClusterMetrics
from session_service.adapters.redis_access.servers import RedisServers
from session_service.core.hub import Hub, PresenceChange
from session_service.core.model import Member, Position, StoredMessage
from session_service.core.ports import Cluster, DisconnectOrder
from session_service.core.ring import RingBudget
from session_service.core.sessions import Session, SessionFacts
from session_service.core.topic import inbox_topic
from tests.conformance.engine_factories import shared_redis
from tests.support.redis_cluster import RedisClusterServers
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

TOPIC: Final = "tests/w1/chat"
LEASE_S: Final = 2.0
"""Short, but longer than a busy machine lets a test wait for its turn."""
DEADLINE_S: Final = 30.0
EPOCH: Final = "e1"

MakeCluster = Callable[[Hub], Cluster]


class Told(NamedTuple):
    """A change that watchers of a service were told of."""

    client_id: str
    joined: bool
    topic: str = TOPIC


class _Outlet:
    def push(self, event: bytes) -> None:
        """Nobody reads it."""


class Service:
    """A session service: what lives on it, and what its watchers are told."""

    def __init__(self, make: MakeCluster, process: str = "") -> None:
        self.hub = Hub(RingBudget(100, 1 << 20, 1 << 24))
        self.cluster = make(self.hub)
        self.process = process
        self.told: list[Told] = []
        self.members_told: list[Member] = []
        self.orders: list[DisconnectOrder] = []
        self.delay_ms = 0
        self._numbers = itertools.count(1)
        self._open = False

    async def start(self) -> None:
        await self.cluster.start(self)
        self._open = True

    async def close(self) -> None:
        if self._open:
            self._open = False
            await self.cluster.close()

    async def crash(self) -> None:
        """End without a word to anybody."""
        assert isinstance(self.cluster, SharedCluster)
        self.cluster._lease.shorten = _say_nothing  # type: ignore[method-assign]
        self.cluster._questions.say_farewell = _say_nothing  # type: ignore[method-assign]
        await self.close()

    async def deafen(self) -> None:
        """Hear nothing any more, while the lease is renewed."""
        assert isinstance(self.cluster, SharedCluster)
        await self.cluster._listening.close()

    async def stop_heartbeats(self) -> None:
        """Renew the lease no longer: nothing may wait for a heartbeat."""
        assert isinstance(self.cluster, SharedCluster)
        await self.cluster._lease.close()

    # The listener.

    def on_presence(self, topic: str, member: Member, *, joined: bool) -> None:
        channel = self.hub.channels.get(topic)
        if channel is not None and channel.watching():
            self.told.append(Told(member.client_id, joined, topic))
            self.members_told.append(member)

    def on_disconnect(self, order: DisconnectOrder) -> int:
        self.orders.append(order)
        return len(self.hub.sessions_of(order.domain, order.workspace, order.client_id))

    # What edges do.

    def join(
        self,
        client_id: str,
        *,
        watch: bool = False,
        topic: str = TOPIC,
        first: int = 0,
        join_ms: int = 1000,
        resumed: bool = False,
        edge_id: str = "edge-1",
    ) -> Session:
        """Open a session that joins a channel and its inbox."""
        edge = self.hub.edges.get(edge_id) or self.hub.attach(edge_id, _Outlet())
        facts = SessionFacts(f"s-{client_id}", client_id, "tests", "w1", "chat", "k1")
        session, _ = self.hub.open_session(edge, next(self._numbers), facts)
        for name in (topic, inbox_topic("tests", "w1", client_id)):
            channel = self.hub.channels.get(name) or self.hub.activate(name, Position(EPOCH, 0))
            is_watcher = watch and name == topic
            changes = self.hub.join(session, channel, watch=is_watcher, first=first, now_ms=join_ms)
            if is_watcher:
                self.cluster.watched(name)
            self._announce(changes, resumed=resumed)
        return session

    def leave(self, session: Session, topic: str = TOPIC) -> None:
        self._announce(self.hub.leave(session, topic))

    def end(self, session: Session) -> None:
        """Close a session."""
        self._announce(self.hub.close_session(session))

    def deliver(self, offset: int, topic: str = TOPIC) -> None:
        self.hub.deliver(StoredMessage(topic, "chat_message", f"m-{offset}", "alice", EPOCH, offset, 1, b"{}"))

    def _announce(self, changes: list[PresenceChange], *, resumed: bool = False) -> None:
        for topic, member, joined in changes:
            if joined:
                self.cluster.entered(topic, member, resumed=resumed)
            else:
                self.cluster.left(topic, member)

    # What is seen here.

    async def present(self, topic: str = TOPIC) -> list[str]:
        return [member.client_id for member in await self.cluster.members(topic)]

    async def sees(self, *clients: str, topic: str = TOPIC) -> None:
        """Return when exactly these clients are members, in this order."""

        async def they_are() -> bool:
            return await self.present(topic) == list(clients)

        with contextlib.suppress(AssertionError):
            await eventually(they_are, DEADLINE_S)
        assert await self.present(topic) == list(clients)

    async def until_told(self, *changes: Told) -> None:
        """Return when watchers were told all of this, and perhaps more."""

        async def told_all() -> bool:
            return set(changes) <= set(self.told)

        await eventually(told_all, DEADLINE_S, f"{changes} in {self.told}")

    async def hears(self, *changes: Told) -> None:
        """Return when watchers were told exactly this so far."""

        async def told_all() -> bool:
            return len(self.told) >= len(changes)

        with contextlib.suppress(AssertionError):
            await eventually(told_all, DEADLINE_S)
        assert self.told == list(changes)

    def counter(self, name: str) -> float:
        """Return one of the cluster's metrics."""
        assert isinstance(self.cluster, SharedCluster)
        metric: Any = getattr(self.cluster._metrics, name)
        return float(metric._value.get())


async def _say_nothing() -> None:
    pass


class ClusterBench(ABC):
    """Services of one kind, ended with the test."""

    def __init__(self) -> None:
        self._services: list[Service] = []

    async def open(self, *, lease_s: float = LEASE_S) -> Service:
        """Start one more service."""
        service = self.make(lease_s)
        self._services.append(service)
        await service.start()
        return service

    async def open_all(self, count: int) -> list[Service]:
        """Start services, and return when each knows all."""
        services = [await self.open() for _ in range(count)]
        await self.acquainted(*services)
        return services

    async def acquainted(self, *services: Service) -> None:
        """Return when these services know that all of them live."""

        async def all_known() -> bool:
            return all(service.counter("services") >= len(services) for service in services)

        await eventually(all_known, DEADLINE_S, "services know each other")

    async def close_all(self) -> None:
        for service in self._services:
            await service.close()

    @abstractmethod
    def make(self, lease_s: float) -> Service:
        """Return a service, not yet started."""


class LocalBench(ClusterBench):
    """One process on its own."""

    def make(self, lease_s: float) -> Service:
        return Service(lambda hub: LocalCluster(hub, SystemClock(), quiet_s=0.0))


class RedisBench(ClusterBench):
    """Services on one Redis, in a namespace of their own; on the run's server unless it is given another."""

    def __init__(self, server: RedisServer | None = None) -> None:
        super().__init__()
        self.server = server or self.shared()
        self.namespace = f"test-{secrets.token_hex(6)}"
        self.words = Words(self.namespace, "PUBLISH")
        self._servers: list[RedisServers] = []

    def shared(self) -> RedisServer:
        return shared_redis()

    @property
    def url(self) -> str:
        return self.server.url

    def command(self, key: str, *words: str | bytes | int) -> Any:
        """Run a command where a key is."""
        return self.server.command(*words)

    def make(self, lease_s: float) -> Service:
        servers = RedisServers(parse_redis_address(self.url), timeout_s=2.0)
        self._servers.append(servers)
        process = secrets.token_hex(6)

        def cluster(hub: Hub) -> SharedCluster:
            metrics = ClusterMetrics(CollectorRegistry())
            return SharedCluster(
                hub, servers, process=process, namespace=self.namespace, lease_s=lease_s, metrics=metrics
            )

        return Service(cluster, process)

    async def open(self, *, lease_s: float = LEASE_S) -> Service:
        service = self.make(lease_s)
        self._services.append(service)
        await self._servers[-1].start()
        await service.start()
        return service

    async def close_all(self) -> None:
        await super().close_all()
        for servers in self._servers:
            await servers.close()

    # What Redis has.

    def services(self) -> list[str]:
        """Return the services that have, or had, a lease."""
        return list(self.command(self.words.services, "ZRANGE", self.words.services, 0, -1))

    def generations(self, service: Service) -> list[str]:
        """Return the names under which Redis knows a service."""
        return [name for name in self.services() if process_of(name) == service.process]

    def expire(self, service: Service) -> None:
        """Have the lease of a service be over, as if it had been away."""
        self.lease_until(1, service)

    def lease_until(self, time_ms: int, service: Service) -> None:
        """Have the lease of a service be over at a time, in milliseconds of the epoch."""
        for name in self.generations(service):
            self.command(self.words.services, "ZADD", self.words.services, "XX", time_ms, name)

    def entries(self, topic: str = TOPIC) -> dict[str, list[str]]:
        """Return on which services each client has entries."""
        key = self.words.presence(topic)
        script = "local all = redis.call('HGETALL', KEYS[1]) local hex = {} for i, part in ipairs(all) do"
        script += " hex[i] = string.gsub(part, '.', function(c) return string.format('%02x', string.byte(c)) end)"
        script += " end return hex"
        found = [bytes.fromhex(part) for part in self.command(key, "EVAL", script, 1, key)]
        return {client: [entry.service for entry in entries] for client, entries in decode_presence(found).items()}

    def topics_of(self, name: str) -> set[str]:
        """Return the topics in which a service is listed."""
        key = self.words.topics_of(name)
        return set(self.command(key, "SMEMBERS", key))


@cache
def shared_redis_cluster() -> RedisClusterServers:
    """Return the one Redis Cluster of a test run, which ends with it."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    servers = RedisClusterServers(Path(folder.name))
    servers.start()
    atexit.register(servers.stop)
    return servers


class RedisClusterBench(RedisBench):
    """Services on a Redis Cluster of three servers."""

    def __init__(self) -> None:
        super().__init__()
        self.words = Words(self.namespace, "SPUBLISH")

    def shared(self) -> RedisServer:
        return shared_redis_cluster().servers[0]

    @property
    def url(self) -> str:
        return shared_redis_cluster().url

    def command(self, key: str, *words: str | bytes | int) -> Any:
        return shared_redis_cluster().master_of(key).command(*words)


SHARED: Final[Mapping[str, Callable[[], RedisBench]]] = {"redis": RedisBench, "redis-cluster": RedisClusterBench}
ALL: Final[Mapping[str, Callable[[], ClusterBench]]] = {"local": LocalBench, **SHARED}
