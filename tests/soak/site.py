"""Services, their clients, and what comes and goes there."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.cpu import cpu_s
from tests.soak.churn import Churn
from tests.soak.plan import Plan
from tests.soak.traffic import Traffic
from tests.support.key_admin import KeyAdmin
from tests.support.redis_server import RedisServer
from tests.support.services import Gateway
from tests.support.waiting import eventually

COME_DEADLINE_S = 60.0
SETTLE_DEADLINE_S = 60.0
# More than usual: this one process reads for all clients, and a machine that gives it no time is no fault of theirs.
OUTBOX_BYTES = 16 * 1024 * 1024
# As services have it; fewer where these many would not come before the warm-up ends.
RING_MESSAGES = 1024


@dataclass
class Site:
    """One of each service, with everything that it has to do.

    Args:
        gateway: The services.
        traffic: Members and publishers, who are there.
        churn: Comes and goes when asked to.
        admin: Makes keys.
    """

    gateway: Gateway
    traffic: Traffic
    churn: Churn
    admin: KeyAdmin

    @property
    def where(self) -> tuple[str, str]:
        """Address of the edge, and workspace."""
        return self.gateway.edge.address, self.traffic.workspace

    @property
    def cpu_s(self) -> float:
        """Seconds of processor time that the services have used."""
        return sum(cpu_s(process.pid) for process in self.gateway.processes)

    async def fill(self, plan: Plan) -> float:
        """Have the store hold as much as it ever will, with churn; return messages a second: all it can, or as planned."""
        async with self.churn.going_on():
            if not plan.rate:
                return await self.traffic.capacity(plan.steady_s)
            await self.traffic.run(plan.rate, time.monotonic() + plan.steady_s)
        return plan.rate

    async def settle(self) -> None:
        """Wait until all members have everything."""
        await eventually(_nobody_behind(self.traffic), SETTLE_DEADLINE_S, "all members have everything")

    @property
    def faults(self) -> Counter[str]:
        """What must not be, by kind."""
        return Counter(self.traffic.faults() + self.churn.faults)


@contextlib.asynccontextmanager
async def open_site(plan: Plan, directory: Path) -> AsyncIterator[Site]:
    """Start services and have all clients come in; at the end let them go, and stop.

    Args:
        plan: How many, and how the services are set.
        directory: For state and logs.

    Raises:
        AssertionError: The services do not start, work or end as they should; or the clients do not come in, or go.
    """
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    async with _store(plan, directory) as redis, _gateway(plan, directory, redis) as gateway:
        traffic, admin = Traffic(gateway.edge.address, plan), gateway.key_admin()
        try:
            await traffic.come()
            await eventually(_nobody_behind(traffic), COME_DEADLINE_S, "all clients are members")
            yield Site(gateway, traffic, Churn(traffic, gateway.edge.address, admin, plan.churn_s), admin)
        finally:
            traffic.leave()
            await eventually(_nobody_there(traffic), what="all connections are gone")


@contextlib.asynccontextmanager
async def _store(plan: Plan, directory: Path) -> AsyncIterator[str | None]:
    """Start Redis, if that is planned, and give its URL."""
    if not plan.redis:
        yield None
        return
    redis = RedisServer(directory / "redis", {"maxmemory-policy": "noeviction"})
    await asyncio.to_thread(redis.start)
    try:
        yield redis.url
    finally:
        await asyncio.to_thread(redis.stop)


def _gateway(plan: Plan, directory: Path, redis: str | None) -> Gateway:
    return Gateway(
        directory,
        auth={"admin-port": 0},
        session={
            "admin-port": 0,
            "retention-messages": plan.retention_messages,
            "ring-messages": min(RING_MESSAGES, plan.retention_messages),
            "idempotency-window-s": plan.window_s,
        },
        edge={
            "admin-port": 0,
            "frames-per-second": 0,
            "bytes-per-second": 0,
            "max-outbox-bytes": OUTBOX_BYTES,
        },
        redis=redis,
    )


def _nobody_behind(traffic: Traffic) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return traffic.behind == 0

    return condition


def _nobody_there(traffic: Traffic) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return not traffic.connections

    return condition
