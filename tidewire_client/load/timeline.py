"""What happened when: a bounded number of points, which lie twice as far apart whenever there would be too many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from tidewire_client.load.histogram import Histogram

MOST_POINTS: Final = 240


@dataclass(slots=True)
class Point:
    """One stretch of time.

    Attributes:
        seconds: How long it is.
        sent: Messages sent in it.
        delivered: Messages delivered in it.
        open: Connections, the most that were seen in it.
        latency: Of what was delivered in it.
        memory_bytes: Of the services, the last that was seen in it; None: not seen.
        load_memory_bytes: Of the load processes, the last that was seen in it.
    """

    seconds: float
    sent: int = 0
    delivered: int = 0
    open: int = 0
    latency: Histogram = field(default_factory=Histogram)
    memory_bytes: float | None = None
    load_memory_bytes: float | None = None

    def absorb(self, later: Point) -> None:
        """Become one with the point behind it."""
        self.seconds += later.seconds
        self.sent += later.sent
        self.delivered += later.delivered
        self.open = max(self.open, later.open)
        self.latency.add(later.latency)
        self.memory_bytes = self.memory_bytes if later.memory_bytes is None else later.memory_bytes
        self.load_memory_bytes = self.load_memory_bytes if later.load_memory_bytes is None else later.load_memory_bytes

    def record(self, at_s: float) -> dict[str, Any]:
        """Return it for programs; it begins `at_s` seconds after the run did."""
        return {
            "at_s": round(at_s, 3),
            "sent_per_s": round(self.sent / self.seconds, 3),
            "delivered_per_s": round(self.delivered / self.seconds, 3),
            "open": self.open,
            "p50_ms": _rounded(self.latency.quantile_ms(0.5)),
            "p99_ms": _rounded(self.latency.quantile_ms(0.99)),
            "memory_bytes": self.memory_bytes,
            "load_memory_bytes": self.load_memory_bytes,
        }


class Timeline:
    """Points from the beginning of a run on.

    Args:
        start_s: Its beginning, in seconds of any clock.
        step_s: How far points lie apart at first, in seconds.
    """

    def __init__(self, start_s: float, step_s: float = 1.0) -> None:
        self._start_s = start_s
        self.step_s = step_s
        self.points: list[Point] = []

    def at(self, moment_s: float) -> Point:
        """Return the point of a moment."""
        index = max(0, int((moment_s - self._start_s) / self.step_s))
        while index >= MOST_POINTS:
            self._halve()
            index = max(0, int((moment_s - self._start_s) / self.step_s))
        while len(self.points) <= index:
            self.points.append(Point(self.step_s))
        return self.points[index]

    def _halve(self) -> None:
        pairs = [self.points[at : at + 2] for at in range(0, len(self.points), 2)]
        for pair in pairs:
            if len(pair) == 2:
                pair[0].absorb(pair[1])
            else:
                pair[0].seconds = 2 * self.step_s
        self.points = [pair[0] for pair in pairs]
        self.step_s *= 2

    def records(self) -> list[dict[str, Any]]:
        """Return them for programs."""
        return [point.record(number * self.step_s) for number, point in enumerate(self.points)]


def growth_percent(values: Sequence[float | None]) -> float | None:
    """Return by how much a figure has grown: the median of its last third over that of its first.

    Args:
        values: In order of time; None where nothing was seen.

    Returns:
        In percent; None: there is too little to say.
    """
    known = [value for value in values if value is not None]
    third = len(known) // 3
    if third < 2:
        return None
    before, after = median(known[:third]), median(known[-third:])
    return None if before <= 0 else 100.0 * (after / before - 1.0)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
