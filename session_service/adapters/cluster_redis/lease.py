"""The lease of this process: while it holds, what the process has said of presence is true.

It is renewed by Redis' clock. Once it is over it is never renewed: the process goes on as another service (`process.2`), and
says everything again. So whoever drops the entries of a dead service can never touch one that lives.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from service_runtime.logs import get_logger
from service_runtime.tasks import end_tasks
from session_service.adapters.cluster_redis.words import Words, process_of
from session_service.adapters.metrics_prometheus import ClusterMetrics
from session_service.adapters.redis_access.asking import Lanes
from session_service.core.errors import SessionError

log = get_logger("session_service.cluster_redis")

MAX_HEARTBEAT_S: Final = 1.0
HEARTBEATS_OF_A_LEASE: Final = 5
LEAVING_S: Final = 3.0
"""Who stops leaves its entries for so long: its edges' clients appear on another service meanwhile."""


class Lease:
    """Keeps the lease.

    Args:
        process: Random for each process.
        lanes: Where heartbeats go.
        words: Names and commands.
        lease_s: Seconds after which a silent service counts as dead.
        metrics: Counters.
        on_beat: Called after each heartbeat, with whether the lease had been lost.
    """

    def __init__(
        self,
        process: str,
        lanes: Lanes,
        words: Words,
        *,
        lease_s: float,
        metrics: ClusterMetrics,
        on_beat: Callable[[bool], None],
    ) -> None:
        self.process = process
        self.live: frozenset[str] = frozenset()
        self.dead: frozenset[str] = frozenset()
        self._lanes = lanes
        self._words = words
        self._lease_s = lease_s
        self._metrics = metrics
        self._on_beat = on_beat
        self._generation = 1
        self._is_new = True
        self._was_lost = False
        self._until_s = 0.0
        self._beating = asyncio.Lock()
        self._soon = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def service(self) -> str:
        """The name under which this process has entries now."""
        return f"{self.process}.{self._generation}"

    @property
    def holds(self) -> bool:
        """The lease is not over, for sure."""
        return time.monotonic() < self._until_s

    @property
    def others(self) -> frozenset[str]:
        """The other processes that live, as of the last heartbeat."""
        return frozenset(map(process_of, self.live)) - {self.process}

    async def start(self) -> None:
        """Take the lease, and keep it; raises SessionError."""
        await self.beat()
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Renew the lease no longer. Idempotent."""
        if self._task is not None:
            await end_tasks(self._task)

    async def shorten(self) -> None:
        """Let the lease run out soon; raises SessionError."""
        leaving_ms = int(min(LEAVING_S, self._lease_s) * 1000)
        await self._lanes.ask(self._words.heartbeat(self.service, leaving_ms, is_new=False))

    def beat_soon(self) -> None:
        """Renew now: the server may be another one."""
        self._soon.set()

    async def beat(self) -> None:
        """Renew the lease, and learn who lives; raises SessionError."""
        async with self._beating:
            if not await self._renew():
                log.warning("lease was lost: presence is said again", service=self.service)
                self._metrics.leases_lost.inc()
                self._generation += 1
                self._is_new = self._was_lost = True
                await self._renew()
            was_lost, self._was_lost = self._was_lost, False
        self._on_beat(was_lost)

    async def _renew(self) -> bool:
        began_s = time.monotonic()
        command = self._words.heartbeat(self.service, int(self._lease_s * 1000), is_new=self._is_new)
        holds, live, dead = await self._lanes.ask(command)
        self.live = frozenset(service.decode() for service in live)
        self.dead = frozenset(service.decode() for service in dead)
        self._metrics.services.set(len(self.live))
        if holds:
            self._is_new = False
            self._until_s = began_s + self._lease_s
        return bool(holds)

    async def _keep(self) -> None:
        while True:
            try:
                async with asyncio.timeout(min(MAX_HEARTBEAT_S, self._lease_s / HEARTBEATS_OF_A_LEASE)):
                    await self._soon.wait()
            except TimeoutError:
                pass
            self._soon.clear()
            try:
                await self.beat()
            except SessionError as error:
                self._metrics.heartbeats_failed.inc()
                log.warning("lease is not renewed", error=str(error))
