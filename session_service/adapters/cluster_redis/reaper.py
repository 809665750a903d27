"""Drops what dead services have left: topic by topic, so that it can stop anywhere, and several may do it at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from service_runtime.logs import get_logger
from service_runtime.tasks import end_tasks
from session_service.adapters.cluster_redis.words import Words
from session_service.adapters.metrics_prometheus import ClusterMetrics
from session_service.adapters.redis_access.asking import Lanes
from session_service.adapters.redis_access.commands import Command
from session_service.core.errors import SessionError

log = get_logger("session_service.cluster_redis")

TOPICS_AT_ONCE: Final = 100


class Reaper:
    """Drops entries of dead services.

    Args:
        lanes: Where commands go.
        words: Names and commands.
        metrics: Counters.
    """

    def __init__(self, lanes: Lanes, words: Words, metrics: ClusterMetrics) -> None:
        self._lanes = lanes
        self._words = words
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Stop: another service goes on. Idempotent."""
        if self._task is not None:
            await end_tasks(self._task)

    def reap(self, services: Iterable[str]) -> None:
        """Begin to drop what these services left, unless that is under way."""
        dead = list(services)
        if dead and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._reap_all(dead))

    async def _reap_all(self, services: list[str]) -> None:
        for service in services:
            try:
                left = await self._reap(service)
            except SessionError as error:  # the next heartbeat begins anew
                log.warning("a dead service's members are not dropped yet", service=service, error=str(error))
                return
            self._metrics.reaped.inc()
            log.info("dropped what a dead service left", service=service, clients=left)

    async def _reap(self, service: str) -> int:
        """Drop the entries of a service topic by topic, then forget it; return how many clients left."""
        left = 0
        key = self._words.topics_of(service)
        while topics := await self._lanes.ask(Command(key, ("SRANDMEMBER", key, TOPICS_AT_ONCE))):
            left += sum(await asyncio.gather(*(self._drop(topic.decode(), service) for topic in topics)))
            await self._lanes.ask(Command(key, ("SREM", key, *topics)))
        await self._lanes.ask(Command(self._words.services, ("ZREM", self._words.services, service)))
        return left

    async def _drop(self, topic: str, service: str) -> int:
        left, cursor = 0, b"0"
        while True:
            cursor, count = await self._lanes.ask(self._words.drop(topic, service, cursor))
            left += int(count)
            if cursor == b"0":
                return left
