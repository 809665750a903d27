"""One soak: start the services, find out what they can do, keep them at a share of it with churn, and look at them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.ledger.generator import watched
from tests.soak.beside import beside
from tests.soak.comparison import Comparison, compare, growth_of_ratio
from tests.soak.latency import LatencyProbe
from tests.soak.plan import Plan
from tests.soak.report import Report
from tests.soak.samples import Sampler, growth_of_series
from tests.soak.site import Site, open_site

_SAMPLES_A_LINE = 15


async def soak(plan: Plan, directory: Path, tell: Callable[[str], None]) -> Report:
    """Carry a plan out.

    Args:
        plan: What to do.
        directory: For state and logs.
        tell: Is given a line of how it goes, every now and then.

    Raises:
        AssertionError: The services do not start, work or end as they should; or the clients do not come in.
    """
    async with contextlib.AsyncExitStack() as stack:
        sites = [await stack.enter_async_context(open_site(plan, directory))]
        if plan.comparison:
            sites.append(await stack.enter_async_context(open_site(plan, directory / "rested")))
        return await _Soak(plan, sites, tell).run()


class _Soak:
    """The sites are there.

    Args:
        plan: What to do.
        sites: The one that works, and another if it is compared with one that rests.
        tell: Is given lines.
    """

    def __init__(self, plan: Plan, sites: list[Site], tell: Callable[[str], None]) -> None:
        self._plan = plan
        self._sites = sites
        self._worked = sites[0]
        self._tell = tell

    async def run(self) -> Report:
        plan, worked = self._plan, self._worked
        looks = await asyncio.to_thread(lambda: worked.admin.create(("admin:debug",)))
        capacity, rate = await self._rate()
        async with (
            worked.churn.going_on(),
            watched() as load,
            LatencyProbe(*(site.where for site in self._sites)) as probe,
        ):
            began_s = time.monotonic()
            sampler = Sampler(
                worked.gateway.processes, looks.api_key, {"load": os.getpid(), "latency probe": probe.pid}
            )
            async with beside(self._sample(sampler, probe, began_s), "the sampling"):
                await worked.traffic.run(rate, began_s + plan.warm_up_s)
            early = await self._compared(probe)
            async with beside(self._sample(sampler, probe, began_s), "the sampling"):
                await worked.traffic.run(rate, time.monotonic() + plan.seconds - plan.warm_up_s)
            late = await self._compared(probe)
        for site in self._sites:
            await site.settle()
        # In a thread: it takes a while, in which all clients must go on answering.
        findings = await asyncio.to_thread(
            lambda: [*growth_of_series(sampler.series, plan), *growth_of_ratio(early, late)]
        )
        return Report(
            plan=plan,
            capacity=capacity,
            rate=rate,
            confirmed=worked.traffic.confirmed,
            churn=worked.churn.done,
            faults=sum((site.faults for site in self._sites), Counter()),
            refused=sum((site.traffic.refused() for site in self._sites), Counter()),
            findings=findings,
            series=sampler.series,
            comparisons=[*early, *late],
            load=load,
        )

    async def _rate(self) -> tuple[float | None, float]:
        """Fill the stores; return messages a second that are possible, if that was found out, and that are to be."""
        plan = self._plan
        if plan.rate:
            for site in self._sites[1:]:
                await site.fill(plan)
            self._tell(f"{plan.rate:.0f} messages a second")
            return None, plan.rate
        return await self._share_of(self._sites)

    async def _share_of(self, sites: Sequence[Site]) -> tuple[float, float]:
        """Return messages a second that are possible by now, and the share of them that is to be."""
        capacity = statistics.fmean([await site.fill(self._plan) for site in sites])
        rate = self._plan.share * capacity
        self._tell(f"{rate:.0f} messages a second, of {capacity:.0f} that are possible")
        return capacity, rate

    async def _compared(self, probe: LatencyProbe) -> list[Comparison]:
        """Compare, if there is something to compare with: at the share of what is possible by now to services that rested."""
        if len(self._sites) == 1:
            return []
        plan, (worked, rested) = self._plan, self._sites
        rate = plan.rate or (await self._share_of([rested]))[1]
        self._tell(f"{(plan.steady_s + plan.comparison_s) / 60:.1f} minutes in turns with services that rested")
        return await compare(worked, rested, probe, rate, plan)

    async def _sample(self, sampler: Sampler, probe: LatencyProbe, began_s: float) -> None:
        """Look at the services every so often, for ever."""
        sampler.pause()
        probe.take()
        for number in itertools.count(1):
            await asyncio.sleep(self._plan.sample_s)
            at_s = time.monotonic() - began_s
            await sampler.look(at_s, [measured.latency_s for measured in probe.take()])
            if number % _SAMPLES_A_LINE == 0:
                self._tell(f"minute {at_s / 60:.1f}: {sampler.series.newest}")
