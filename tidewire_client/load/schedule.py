"""When what is due: fixed before anything is sent, so that a slow answer moves nothing (no coordinated omission)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Due:
    """One thing to do.

    Attributes:
        index: Whose turn it is.
        at_s: When, in seconds of the monotonic clock.
    """

    index: int
    at_s: float


class Turns:
    """The turns of several senders, each at the same rate, spread evenly over its interval.

    Args:
        phases: Of each sender that has turns here: where in an interval its turn is, 0 to 1.
        start_s: When the first interval begins, in seconds of the monotonic clock.
        rate: Turns of each sender a second.
        duration_s: How long, in seconds.
    """

    def __init__(self, phases: Sequence[float], start_s: float, rate: float, duration_s: float) -> None:
        self._order = sorted(range(len(phases)), key=phases.__getitem__)
        self._phases = phases
        self._start_s = start_s
        self._interval_s = 1.0 / rate if rate > 0 else 0.0
        self._end_s = start_s + (duration_s if rate > 0 else 0.0)
        self._taken = 0

    def peek(self) -> Due | None:
        """Return the next turn; None: all are over."""
        if not self._order:
            return None
        round_number, place = divmod(self._taken, len(self._order))
        index = self._order[place]
        at_s = self._start_s + (round_number + self._phases[index]) * self._interval_s
        return Due(index, at_s) if at_s < self._end_s - 1e-9 else None

    def take(self) -> None:
        """Go on to the one behind it."""
        self._taken += 1


def share(count: int, parts: int, part: int) -> range:
    """Return which of `count` things belong to one of `parts` equal parts: every `parts`-th of them."""
    return range(part, count, parts)
