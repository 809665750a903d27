"""A set of whole numbers, held as ranges: what is missing from a long row mostly lies together."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator


class Ranges:
    """Whole numbers; memory goes with the number of gaps between them, not with theirs.

    Args:
        pairs: `(first, end)` of ranges to begin with, the end not in it.
    """

    __slots__ = ("_ends", "_starts")

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in pairs:
            self.add(start, end)

    def add(self, start: int, end: int | None = None) -> None:
        """Put in one number, or all from `start` to before `end`."""
        end = start + 1 if end is None else end
        if end <= start:
            return
        low = bisect_right(self._starts, start)
        if low and self._ends[low - 1] >= start:
            low -= 1
            start = self._starts[low]
        high = bisect_right(self._starts, end)
        if high:
            end = max(end, self._ends[high - 1])
        self._starts[low:high] = [start]
        self._ends[low:high] = [end]

    def discard(self, number: int) -> bool:
        """Take out a number; say if it was in."""
        at = bisect_right(self._starts, number) - 1
        if at < 0 or self._ends[at] <= number:
            return False
        start, end = self._starts[at], self._ends[at]
        left = [(start, number)] if start < number else []
        right = [(number + 1, end)] if number + 1 < end else []
        self._starts[at : at + 1] = [pair[0] for pair in left + right]
        self._ends[at : at + 1] = [pair[1] for pair in left + right]
        return True

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number < self._ends[at]

    def __len__(self) -> int:
        return sum(end - start for start, end in self)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._ends, strict=True))

    def within(self, start: int, end: int) -> int:
        """Return how many of the numbers from `start` to before `end` are in."""
        return sum(max(0, min(end, last) - max(start, first)) for first, last in self)
