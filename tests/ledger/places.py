"""Where a message is stored, and which places of a channel somebody has received."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple


class Place(NamedTuple):
    """Epoch and offset, as confirmations and deliveries name them."""

    epoch: str
    offset: int


class Offsets:
    """A set of offsets, kept as runs: received in order, it is one run, however many there are."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def add(self, offset: int) -> bool:
        """Add an offset; return False if it was there."""
        at = bisect_right(self._firsts, offset)
        if at and offset <= self._lasts[at - 1]:
            return False
        joins_left = at > 0 and self._lasts[at - 1] == offset - 1
        joins_right = at < len(self._firsts) and self._firsts[at] == offset + 1
        if joins_left and joins_right:
            self._lasts[at - 1] = self._lasts[at]
            del self._firsts[at], self._lasts[at]
        elif joins_left:
            self._lasts[at - 1] = offset
        elif joins_right:
            self._firsts[at] = offset
        else:
            self._firsts.insert(at, offset)
            self._lasts.insert(at, offset)
        return True

    def __contains__(self, offset: int) -> bool:
        at = bisect_right(self._firsts, offset)
        return at > 0 and offset <= self._lasts[at - 1]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in zip(self._firsts, self._lasts, strict=True))
