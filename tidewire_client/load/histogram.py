"""Times in a bounded number of buckets, each at most 1/128 wide of what is in it: the way of HdrHistogram."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Self

# So many buckets between each power of two and the next.
_STEPS_BITS: Final = 7
_STEPS: Final = 1 << _STEPS_BITS
# 19 hours; what took longer counts as that.
LARGEST_US: Final = (1 << 36) - 1


class Histogram:
    """Counts times in microseconds. At most some 3,900 buckets, however much is counted."""

    __slots__ = ("_counts", "count", "largest_us", "smallest_us", "total_us")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self.total_us = 0
        self.largest_us = 0
        self.smallest_us = LARGEST_US

    def record(self, time_us: int) -> None:
        """Count one time, in microseconds; what is below 0 counts as 0."""
        time_us = 0 if time_us < 0 else min(time_us, LARGEST_US)
        shift = time_us.bit_length() - _STEPS_BITS - 1
        index = time_us if shift <= 0 else (shift << _STEPS_BITS) + (time_us >> shift)
        self._counts[index] = self._counts.get(index, 0) + 1
        self.count += 1
        self.total_us += time_us
        self.largest_us = max(self.largest_us, time_us)
        self.smallest_us = min(self.smallest_us, time_us)

    def add(self, other: Histogram) -> None:
        """Count all that another one has counted."""
        for index, count in other._counts.items():
            self._counts[index] = self._counts.get(index, 0) + count
        self.count += other.count
        self.total_us += other.total_us
        self.largest_us = max(self.largest_us, other.largest_us)
        self.smallest_us = min(self.smallest_us, other.smallest_us)

    def quantile_us(self, part: float) -> float | None:
        """Return the time that this part of all is not above, in microseconds; None: nothing was counted.

        It is at most 1/128 too high, and never too low.

        Args:
            part: 0 to 1; 0.99 is the 99th percentile.
        """
        if not self.count:
            return None
        rank = max(1, -int(-part * self.count // 1))
        seen = 0
        for index in sorted(self._counts):
            seen += self._counts[index]
            if seen >= rank:
                return float(min(_upper(index), self.largest_us))
        return float(self.largest_us)

    def quantile_ms(self, part: float) -> float | None:
        """Return the same in milliseconds."""
        value = self.quantile_us(part)
        return None if value is None else value / 1000

    def buckets(self) -> Iterator[tuple[int, int]]:
        """Yield the upper bound in microseconds and the count of each bucket that is not empty, from the lowest."""
        for index in sorted(self._counts):
            yield min(_upper(index), self.largest_us), self._counts[index]

    @classmethod
    def of(cls, histograms: Iterable[Histogram]) -> Self:
        """Return one that has counted what they all have."""
        made = cls()
        for histogram in histograms:
            made.add(histogram)
        return made

    def __bool__(self) -> bool:
        return self.count > 0

    def __getstate__(self) -> tuple[dict[int, int], int, int, int, int]:
        return self._counts, self.count, self.total_us, self.largest_us, self.smallest_us

    def __setstate__(self, state: tuple[dict[int, int], int, int, int, int]) -> None:
        self._counts, self.count, self.total_us, self.largest_us, self.smallest_us = state


def _upper(index: int) -> int:
    """Return the largest time that a bucket counts."""
    shift = max(0, (index >> _STEPS_BITS) - 1)
    return index if not shift else ((index - (shift << _STEPS_BITS) + 1) << shift) - 1
