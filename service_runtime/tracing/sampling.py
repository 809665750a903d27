"""Which work is traced: that of sampled traces, of the rest a ratio, of both together a bounded number a second."""

from __future__ import annotations

import math
from collections.abc import Callable

from service_runtime.tracing.traceparent import TraceParent


class Sampler:
    """Decides before anything is made, so that work that is not traced costs nothing.

    Args:
        ratio: The part that is traced of work that belongs to no trace yet: over 0, up to 1.
        max_per_second: Pieces of work that are begun to be traced in a second at most, whoever asks for it.
        random: Uniform in [0, 1).
        monotonic: Returns seconds of a clock that never goes back.
        left_out: Told of each piece that is beyond the bound.
    """

    def __init__(
        self,
        ratio: float,
        max_per_second: int,
        *,
        random: Callable[[], float],
        monotonic: Callable[[], float],
        left_out: Callable[[], None],
    ) -> None:
        self._ratio = ratio
        self._max_per_second = max_per_second
        self._random = random
        self._monotonic = monotonic
        self._left_out = left_out
        self._second = -1
        self._begun = 0

    def wants(self, parent: TraceParent | None) -> bool:
        """Return whether a piece of work is traced: as its parent is, or by the ratio if it has none."""
        sampled = self._random() < self._ratio if parent is None else parent.sampled
        return sampled and self.has_room()

    def has_room(self) -> bool:
        """Return whether one more may be traced in this second, and count it."""
        second = int(self._monotonic())
        if second != self._second:
            self._second, self._begun = second, 0
        if self._begun >= self._max_per_second:
            self._left_out()
            return False
        self._begun += 1
        return True

    def steps(self) -> int:
        """Return how many pieces of work from now the next one is that is traced by the ratio; 1: the next one.

        To step over those between costs less than to draw for each: the distances of draws are distributed geometrically.
        """
        if self._ratio >= 1:
            return 1
        return 1 + int(math.log(1.0 - self._random()) / math.log(1.0 - self._ratio))
