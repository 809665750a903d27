"""Lanes and listening for whatever the URL names: one server, a Sentinel group, a Cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import BusyLoadingError

from service_runtime.logs import get_logger
from service_runtime.redis_address import Node, RedisAddress, Topology
from service_runtime.redis_facts import RedisFacts, read_facts
from session_service.adapters.redis_access.asking import Lanes
from session_service.adapters.redis_access.cluster_lanes import ClusterLanes
from session_service.adapters.redis_access.lane import Lane, OnGroup, OnRedirects
from session_service.adapters.redis_access.link import FAULTS, Dialer, NodeDialer, hang_up
from session_service.adapters.redis_access.pubsub import Listening, PubSub, PubSubListener
from session_service.adapters.redis_access.sentinel import SentinelDialer
from session_service.adapters.redis_access.sharded_pubsub import ShardedPubSub
from session_service.adapters.redis_access.slots import SlotMap
from session_service.core.errors import EngineUnavailable

log = get_logger("session_service.engine_redis")

LOADING_S: Final = 0.1


class RedisServers:
    """Where the store is.

    Args:
        address: From the URL.
        timeout_s: Seconds until a command counts as failed.
        wait_replicas: So many replicas must have what a command wrote that waits for them.
    """

    def __init__(self, address: RedisAddress, *, timeout_s: float, wait_replicas: int = 0) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._wait_replicas = wait_replicas
        self._slots: SlotMap | None = None

    async def start(self) -> None:
        """Find the servers, and see that they will do; raises EngineUnavailable."""
        if self._address.topology is not Topology.CLUSTER:
            await self._look_at_server()
        if self._address.topology is Topology.CLUSTER:
            self._slots = SlotMap(self._address, self._timeout_s)
            await self._slots.start()
            for node in self._slots.owners:
                await self._check(NodeDialer(self._address, self._timeout_s, node))

    async def close(self) -> None:
        """Look no longer where the servers are. Idempotent."""
        if self._slots is not None:
            await self._slots.close()

    @property
    def publish_word(self) -> str:
        """How a message is published: in a Cluster by sharded pub/sub, so that it goes to one shard only."""
        return "PUBLISH" if self._slots is None else "SPUBLISH"

    def lanes(self, *, max_waiting: int, max_group: int, on_group: OnGroup = lambda size, seconds: None) -> Lanes:
        """Return lanes, not yet started, on connections of their own; see `Lane` for the arguments."""

        def lane(dialer: Dialer, on_redirects: OnRedirects | None, on_trouble: Callable[[], None]) -> Lane:
            return Lane(
                dialer,
                timeout_s=self._timeout_s,
                max_waiting=max_waiting,
                max_group=max_group,
                wait_replicas=self._wait_replicas,
                on_group=on_group,
                on_redirects=on_redirects,
                on_trouble=on_trouble,
            )

        slots = self._slots
        if slots is None:
            return lane(self._dialer(), None, lambda: None)
        return ClusterLanes(slots, lambda node, redirects: lane(self._node(node), redirects, slots.look_soon))

    def listening(self, listener: PubSubListener) -> Listening:
        """Return what listens, not yet started."""
        slots = self._slots
        if slots is None:
            return PubSub(self._dialer(), listener)
        return ShardedPubSub(
            slots, lambda node: PubSub(self._node(node), listener, sharded=True, on_trouble=slots.look_soon)
        )

    def dialers(self) -> list[Dialer]:
        """Return what connects to each server that has a part of the store."""
        if self._slots is None:
            return [self._dialer()]
        return [self._node(node) for node in sorted(self._slots.owners)]

    def _dialer(self) -> Dialer:
        if self._address.topology is Topology.SENTINEL:
            return SentinelDialer(self._address, self._timeout_s)
        return NodeDialer(self._address, self._timeout_s)

    def _node(self, node: Node) -> NodeDialer:
        return NodeDialer(self._address, self._timeout_s, node)

    async def _look_at_server(self) -> None:
        """See that the server will do; one of a Cluster stands for all of it."""
        is_cluster = await self._check(self._dialer())
        if is_cluster and self._address.nodes:
            log.info("the message store is a Redis Cluster", store=self._address.shown)
            self._address = replace(self._address, topology=Topology.CLUSTER)

    async def _check(self, dialer: Dialer) -> bool:
        """Return whether a server is one of a Cluster; one that still loads its data is waited for."""
        connection = await dialer.dial()
        try:
            async with asyncio.timeout(self._timeout_s):
                facts = await _loaded(connection)
        except FAULTS as error:
            raise EngineUnavailable(f"the message store does not answer: {type(error).__name__}") from None
        finally:
            await hang_up(connection)
        if facts.problem:
            raise EngineUnavailable(f"the message store {facts.problem}")
        for danger in facts.dangers:
            log.warning(f"the message store's Redis {danger}")
        return facts.is_cluster


async def _loaded(connection: AbstractConnection) -> RedisFacts:
    while True:
        try:
            return await read_facts(connection)
        except BusyLoadingError:
            await asyncio.sleep(LOADING_S)
