"""Services that worked all the time beside others that rested: how late messages come under the same load, in turns."""

from __future__ import annotations

import itertools
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.soak.latency import LatencyProbe, Measured
from tests.soak.paired import Growth, Pair, growth_of
from tests.soak.plan import ALLOWED_GROWTH, Plan
from tests.soak.samples import QUANTILES
from tests.soak.site import Site
from tests.soak.trend import Finding, Trend
from tests.support.waiting import eventually

# Near to what a machine can do a latency is most of all what the queues make of the machine: to be told as closely as at half
# of that load, where it is steadier, it takes five times as long.
PARTS = {0.5: 1 / 6, 1.0: 5 / 6}
# How long each has the load; the first part of it, until it is as it is under load, is not looked at.
MOMENT_S = 2.0
NOT_LOOKED_AT_S = 0.3
REPORT_DEADLINE_S = 30.0


@dataclass
class Comparison:
    """What came of it at one load; of each pair the services that worked are the first.

    Attributes:
        share: Of the load.
        rate: Messages a second, which is that share.
        latencies_s: Seconds, of each pair of moments.
        cpu_s: Processor time of the services, seconds, of each pair.
    """

    share: float
    rate: float
    latencies_s: list[Pair]
    cpu_s: list[tuple[float, float]]


@dataclass
class Moment:
    """Services had the load.

    Attributes:
        began_s: When, on the monotonic clock.
        cpu_s: Processor time of the services, seconds.
    """

    began_s: float
    cpu_s: float


async def compare(worked: Site, rested: Site, probe: LatencyProbe, rate: float, plan: Plan) -> list[Comparison]:
    """Have both work in turns, and return what came of it at each load of `PARTS`.

    It begins when both hold as much, and have as much to trim: what came before is trimmed during turns that are not looked at.

    Args:
        worked: The first edge of the probe; its churn goes on already.
        rested: The second one.
        probe: Measures.
        rate: Messages a second, of which the one whose turn it is gets a share.
        plan: How long, together, and how long until both are alike.
    """
    sites = worked, rested
    async with rested.churn.going_on():
        await _in_turns(sites, probe, min(PARTS) * rate, plan.steady_s)
        probe.take()
        moments = {
            share: await _in_turns(sites, probe, share * rate, part * plan.comparison_s)
            for share, part in PARTS.items()
        }
        measured = sorted(await _rest_of(probe, 2), key=_due_s)
    of_worked, of_rested = ([one for one in measured if one.edge == edge] for edge in (0, 1))
    return [
        Comparison(
            share,
            share * rate,
            [(in_moment(of_worked, one), in_moment(of_rested, other)) for one, other in pairs],
            [(one.cpu_s, other.cpu_s) for one, other in pairs],
        )
        for share, pairs in moments.items()
    ]


async def _in_turns(
    sites: tuple[Site, Site], probe: LatencyProbe, rate: float, seconds: float
) -> list[tuple[Moment, Moment]]:
    """Return pairs of moments. Each site is the first of every second pair: what a moment leaves behind, it leaves to both."""
    pairs, end_s = [], time.monotonic() + seconds
    for first in itertools.cycle((0, 1)):
        moments = {edge: await _moment(sites[edge], edge, probe, rate) for edge in (first, 1 - first)}
        pairs.append((moments[0], moments[1]))
        if time.monotonic() >= end_s:
            break
    return pairs


async def _moment(site: Site, edge: int, probe: LatencyProbe, rate: float) -> Moment:
    probe.turn_to(edge)
    began_s, before_s = time.monotonic(), site.cpu_s
    await site.traffic.run(rate, began_s + MOMENT_S)
    return Moment(began_s, site.cpu_s - before_s)


async def _rest_of(probe: LatencyProbe, edges: int) -> list[Measured]:
    """Wait for everything that is measured of each edge up to now: messages of a channel come in order."""
    measured: list[Measured] = []
    for edge in reversed(range(edges)):
        probe.turn_to(edge)
        turned_s = time.monotonic()

        async def newer(edge: int = edge, turned_s: float = turned_s) -> bool:
            measured.extend(probe.take())
            return any(one.edge == edge and one.due_s > turned_s for one in measured)

        await eventually(newer, REPORT_DEADLINE_S, "what was measured last")
    return measured


def in_moment(measured: Sequence[Measured], moment: Moment) -> list[float]:
    """Return the latencies of a moment, in seconds: all of its edge, but for the first part of it.

    Args:
        measured: Of its edge, by when they were due. There are many, of many moments: they are looked for by halving.
        moment: What is looked for.
    """
    first, last = (bisect_left(measured, moment.began_s + at_s, key=_due_s) for at_s in (NOT_LOOKED_AT_S, MOMENT_S))
    return [one.latency_s for one in measured[first:last]]


def _due_s(one: Measured) -> float:
    return one.due_s


def growth_of_ratio(early: Sequence[Comparison], late: Sequence[Comparison]) -> Iterator[Finding]:
    """Yield how the ratio of those that worked to those that rested changed; processor time is only told."""
    for then, now in zip(early, late, strict=True):
        at = f"at {then.share:.0%} of the load, of services that rested"
        for name, share in QUANTILES.items():
            yield _finding(f"latency {name} {at}", growth_of(then.latencies_s, now.latencies_s, share), judged=True)
        yield _finding(f"processor time {at}", growth_of(_pairs(then.cpu_s), _pairs(now.cpu_s), 0.5), judged=False)


def _pairs(values: Sequence[tuple[float, float]]) -> list[Pair]:
    return [([one], [other]) for one, other in values]


def _finding(name: str, growth: Growth, *, judged: bool) -> Finding:
    trend, likely = Trend(growth.early, growth.late), (growth.low, growth.high)
    return Finding(name, "times", trend, ALLOWED_GROWTH, floor=0.0, judged=judged, likely=likely)
