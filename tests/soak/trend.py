"""Whether something grows: a line fitted through samples, by the median of all slopes, so that outliers do not decide.

Theil, H.: A rank-invariant method of linear and polynomial regression analysis (1950). Pure, no I/O.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# So many samples at most are compared in pairs; of more, neighbours are put together.
MOST_POINTS: Final = 200
LEAST_POINTS: Final = 8

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
        likely: The growth is likely to be between these, where that is known.
    """

    name: str
    unit: str
    trend: Trend
    allowed: float
    floor: float
    judged: bool
    likely: tuple[float, float] | None = None

    @property
    def grows(self) -> bool:
        """It grew by more than is allowed; and that it grew at all is likely, where that is known."""
        beyond = self.trend.growth > self.allowed and self.trend.last - self.trend.first > self.floor
        return beyond and (self.likely is None or self.likely[0] > 0)

    @property
    def unsure(self) -> bool:
        """Neither that it grows by more than is allowed, nor that it does not."""
        return not self.grows and self.likely is not None and self.likely[1] > self.allowed

    @property
    def failed(self) -> bool:
        """It grew, and must not."""
        return self.judged and self.grows

    def __str__(self) -> str:
        steady = "not seen to grow" if self.unsure else "steady"
        verdict = "GROWS" if self.failed else "grows, not judged" if self.grows else steady
        likely = "" if self.likely is None else " ({:+.1%} to {:+.1%} at 95 %)".format(*self.likely)
        return (
            f"{self.name}: {self.trend.first:.4g} to {self.trend.last:.4g} {self.unit}"
            f" ({100 * self.trend.growth:+.1f} %){likely}, {verdict}"
        )
