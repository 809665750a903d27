"""One soak: start the services, find out what they can do, keep them at a share of it with churn, and look at them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from tests.ledger.generator import watched
from tests.soak.churn import Churn
from tests.soak.latency import LatencyProbe
from tests.soak.plan import Plan
from tests.soak.report import Report
from tests.soak.samples import LOAD, Sampler, findings_of
from tests.soak.traffic import Traffic
from tests.support.redis_server import RedisServer
from tests.support.services import Gateway
from tests.support.waiting import eventually

COME_DEADLINE_S = 60.0
SETTLE_DEADLINE_S = 60.0
# More than usual: this one process reads for all clients, and a machine that gives it no time is no fault of theirs.
OUTBOX_BYTES = 16 * 1024 * 1024
# As services have it; fewer where these many would not come before the warm-up ends.
RING_MESSAGES = 1024
_SAMPLES_A_LINE = 15


async def soak(plan: Plan, directory: Path, tell: Callable[[str], None] | None = None) -> Report:
    """Carry a plan out.

    Args:
        plan: What to do.
        directory: For state and logs.
        tell: Is given a line of how it goes, every now and then.

    Raises:
        AssertionError: The services do not start, work or end as they should; or the clients do not come in.
    """
    redis = RedisServer(directory / "redis", {"maxmemory-policy": "noeviction"}) if plan.redis else None
    if redis is not None:
        await asyncio.to_thread(redis.start)
    gateway = Gateway(
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
        redis=None if redis is None else redis.url,
    )
    async with gateway:
        report = await _run(plan, gateway, tell)
        if redis is not None:
            redis.stop()
    return report


async def _run(plan: Plan, gateway: Gateway, tell: Callable[[str], None] | None) -> Report:
    traffic = Traffic(gateway.edge.address, plan)
    admin = gateway.key_admin()
    looks = await asyncio.to_thread(lambda: admin.create(("admin:debug",)))
    churn = Churn(traffic, gateway.edge.address, admin, plan.churn_s)
    try:
        await traffic.come()
        await eventually(_nobody_behind(traffic), COME_DEADLINE_S, "all clients are members")
        async with _in_the_background(churn):
            capacity = None if plan.rate else await traffic.capacity(plan.fill_s)
            rate = plan.rate or plan.share * (capacity or 0.0)
            if tell is not None:
                tell(f"{rate:.0f} messages a second" + (f", of {capacity:.0f} that are possible" if capacity else ""))
            async with watched() as load, LatencyProbe(gateway.edge.address, traffic.workspace) as probe:
                sampler = Sampler(gateway.processes, looks.api_key, {LOAD: os.getpid(), "latency probe": probe.pid})
                async with _sampling(sampler, probe, plan, tell):
                    await traffic.run(rate, time.monotonic() + plan.seconds)
        await eventually(_nobody_behind(traffic), SETTLE_DEADLINE_S, "all members have everything")
        return Report(
            plan=plan,
            capacity=capacity,
            rate=rate,
            confirmed=traffic.confirmed,
            churn=churn.done,
            faults=Counter(traffic.faults() + churn.faults),
            refused=traffic.refused(),
            findings=findings_of(sampler.series, plan),
            series=sampler.series,
            load=load,
        )
    finally:
        traffic.leave()
        await eventually(_nobody_there(traffic), what="all connections are gone")


def _nobody_behind(traffic: Traffic) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return traffic.behind == 0

    return condition


def _nobody_there(traffic: Traffic) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return not traffic.connections

    return condition


@contextlib.asynccontextmanager
async def _in_the_background(churn: Churn) -> AsyncIterator[None]:
    running = asyncio.create_task(churn.run())
    try:
        yield
        assert not running.done(), f"the churn ended: {running.exception()!r}"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@contextlib.asynccontextmanager
async def _sampling(
    sampler: Sampler, probe: LatencyProbe, plan: Plan, tell: Callable[[str], None] | None
) -> AsyncIterator[None]:
    async def sample() -> None:
        began_s = time.monotonic()
        for number in itertools.count(1):
            await asyncio.sleep(plan.sample_s)
            at_s = time.monotonic() - began_s
            await sampler.look(at_s, probe.take())
            if tell is not None and number % _SAMPLES_A_LINE == 0:
                tell(f"{at_s / 60:.1f} of {plan.minutes:g} minutes: {sampler.series.newest}")

    running = asyncio.create_task(sample())
    try:
        yield
        assert not running.done(), f"the sampling ended: {running.exception()!r}"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
