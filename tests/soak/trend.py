"""Whether something grows: a line fitted through samples, by the median of all slopes, so that outliers do not decide.

Theil, H.: A rank-invariant method of linear and polynomial regression analysis (1950). Pure, no I/O.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

# So many samples at most are compared in pairs; of more, neighbours are put together.
MOST_POINTS: Final = 200
LEAST_POINTS: Final = 8
# Samples are compared at one pace if their paces differ by this share at most, and they are this share of the time apart.
SAME_PACE: Final = 0.01
FAR_APART: Final = 1 / 3
LEAST_PAIRS: Final = 100

Point = tuple[float, float]


@dataclass(frozen=True)
class Trend:
    """A line through samples.

    Attributes:
        first: Its value at the first sample.
        last: Its value at the last one.
    """

    first: float
    last: float

    @property
    def growth(self) -> float:
        """How much more it is at the end, as a share of the beginning."""
        return (self.last - self.first) / self.first if self.first > 0 else 0.0


class TooFewSamples(Exception):
    """There is nothing to fit a line through."""


def trend_of(points: Sequence[Point]) -> Trend:
    """Fit a line.

    Args:
        points: Seconds and value of each sample, in order.

    Raises:
        TooFewSamples: There are less than `LEAST_POINTS`.
    """
    if len(points) < LEAST_POINTS:
        raise TooFewSamples(f"{len(points)} samples: at least {LEAST_POINTS} are needed")
    points = joined(points, -(-len(points) // MOST_POINTS))
    slope = statistics.median(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for number, earlier in enumerate(points)
        for later in points[number + 1 :]
    )
    level = statistics.median(value - slope * at for at, value in points)
    return Trend(level + slope * points[0][0], level + slope * points[-1][0])


def trend_at_one_pace(points: Sequence[Point], paces: Mapping[float, float]) -> Trend:
    """Fit a line by such samples only between which the machine was as fast, and some time went by.

    A queue makes much of little: on a busy machine that is 1 % slower for a while, a latency may be 5 % longer. What is
    compared here cannot tell of that.

    Args:
        points: Seconds and value, above 0, of each sample, in order.
        paces: By the seconds of samples: how long the machine took for something that is always the same.

    Raises:
        TooFewSamples: The machine was hardly ever as fast early as late.
    """
    known = [(at, math.log(value), paces[at]) for at, value in points if value > 0 and at in paces]
    span = known[-1][0] - known[0][0] if known else 0.0
    slopes = [
        (later - earlier) / (then - at)
        for number, (at, earlier, pace) in enumerate(known)
        for then, later, pace_then in known[number + 1 :]
        if then - at >= FAR_APART * span and abs(pace_then - pace) <= SAME_PACE * pace
    ]
    if len(slopes) < LEAST_PAIRS:
        raise TooFewSamples(f"{len(slopes)} pairs of samples at one pace: at least {LEAST_PAIRS} are needed")
    level, grown = statistics.median(value for _, value in points), statistics.median(slopes) * span
    return Trend(level * math.exp(-grown / 2), level * math.exp(grown / 2))


def joined(points: Sequence[Point], size: int) -> list[Point]:
    """Put neighbours together: the middle of their times, and the median of their values."""
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [
        (statistics.fmean(at for at, _ in group), statistics.median(value for _, value in group)) for group in groups
    ]


@dataclass(frozen=True)
class Finding:
    """What one series of samples comes to.

    Args:
        name: Of what.
        unit: Of its values.
        trend: The line.
        allowed: Growth that is none, as a share.
        floor: Growth that is none, in units: what is small anyway may grow by a few.
        judged: Whether growth beyond both is a fault; else it is only told.
    """

    name: str
    unit: str
    trend: Trend
    allowed: float
    floor: float
    judged: bool

    @property
    def grows(self) -> bool:
        """It grew by more than is allowed."""
        return self.trend.growth > self.allowed and self.trend.last - self.trend.first > self.floor

    @property
    def failed(self) -> bool:
        """It grew, and must not."""
        return self.judged and self.grows

    def __str__(self) -> str:
        verdict = "GROWS" if self.failed else "grows, not judged" if self.grows else "steady"
        return (
            f"{self.name}: {self.trend.first:.4g} to {self.trend.last:.4g} {self.unit}"
            f" ({100 * self.trend.growth:+.1f} %), {verdict}"
        )
