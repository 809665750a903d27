"""How much longer one of two took than the other, by moments in which they had the same load in turns.

What a busy machine does to a latency from minute to minute, it does to both. Pure, no I/O.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, TypeAlias

# The growth is found again so many times in pairs drawn by chance, with replacement: how much that scatters says how sure it is
# (Efron, B.: Bootstrap methods: another look at the jackknife, 1979).
RESAMPLES: Final = 200
CONFIDENCE: Final = 0.95

Pair: TypeAlias = tuple[Sequence[float], Sequence[float]]
"""What was measured of the one, and right after it of the other."""


@dataclass(frozen=True)
class Growth:
    """By how much the ratio of the two changed.

    Attributes:
        early: The ratio at first.
        late: The ratio later.
        low: The least growth that is likely, as a share: with `high`, an interval of `CONFIDENCE`.
        high: The most.
    """

    early: float
    late: float
    low: float
    high: float


def growth_of(early: Sequence[Pair], late: Sequence[Pair], share: float) -> Growth:
    """Return how the ratio of a quantile of the two changed.

    Args:
        early: Pairs of one time.
        late: Pairs of a later time.
        share: 0.5 of the median.

    Raises:
        ValueError: There is nothing of one of them.
    """
    draw = random.Random(7)
    drawn = sorted(
        ratio_of(_again(late, draw), share) / ratio_of(_again(early, draw), share) - 1 for _ in range(RESAMPLES)
    )
    outside = round((1 - CONFIDENCE) / 2 * RESAMPLES)
    return Growth(ratio_of(early, share), ratio_of(late, share), drawn[outside], drawn[-1 - outside])


def ratio_of(pairs: Sequence[Pair], share: float) -> float:
    """Return the quantile of all of the one, by that of all of the other."""
    of_one = quantile(chain.from_iterable(one for one, _ in pairs), share)
    return of_one / quantile(chain.from_iterable(other for _, other in pairs), share)


def quantile(values: Iterable[float], share: float) -> float:
    """Return the least value that is not below so large a share of all. Raises ValueError: There are none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("there are no values")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _again(pairs: Sequence[Pair], draw: random.Random) -> Sequence[Pair]:
    return draw.choices(pairs, k=len(pairs))
