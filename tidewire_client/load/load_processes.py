"""What the load processes say of themselves: their sums, and how busy they were while it was measured."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from tidewire_client.load.plan import Counters, Tick
from tidewire_client.load.timeline import Timeline

# Over this share of a core a load process may be what is slow, instead of what it measures.
BUSIEST_PERCENT: Final = 80.0
_SUMS: Final = tuple(field.name for field in fields(Counters) if field.name != "reasons")


class LoadProcesses:
    """All load processes.

    Args:
        size: How many.
        timeline: Where what they say is put.
    """

    def __init__(self, size: int, timeline: Timeline) -> None:
        self._last: list[Tick | None] = [None] * size
        self._busy_s = [0.0] * size
        self._measured_s = [0.0] * size
        self._skip = [True] * size
        self._measuring = False
        self._timeline = timeline

    def measure(self, *, on: bool) -> None:
        """Begin to count what they use of the CPU, or stop to."""
        self._measuring = on
        self._skip = [True] * len(self._skip)

    def take(self, number: int, tick: Tick) -> None:
        """Take in what one said."""
        before = self._last[number]
        self._last[number] = tick
        self._count_cpu(number, before, tick)
        earlier = Counters() if before is None else before.counters
        point = self._timeline.at(tick.at_s)
        point.sent += tick.counters.sent - earlier.sent
        point.delivered += tick.counters.delivered - earlier.delivered
        point.latency.add(tick.latency)
        point.open = max(point.open, sum(known.counters.open for known in self._last if known is not None))
        point.load_memory_bytes = sum(known.resident_bytes for known in self._last if known is not None)

    def _count_cpu(self, number: int, before: Tick | None, tick: Tick) -> None:
        """What was used before the first tick of what is measured belongs to something else."""
        if self._measuring and before is not None and not self._skip[number]:
            self._busy_s[number] += tick.cpu_s - before.cpu_s
            self._measured_s[number] += tick.at_s - before.at_s
        self._skip[number] = False

    def totals(self) -> Counters:
        """Return the sums over all processes."""
        known = [tick.counters for tick in self._last if tick is not None]
        total = Counters(**{name: sum(getattr(each, name) for each in known) for name in _SUMS})
        for each in known:
            for reason, count in each.reasons.items():
                total.reasons[reason] = total.reasons.get(reason, 0) + count
        return total

    def busy_percent(self) -> list[float | None]:
        """Return the share of a core that each used while it was measured; None: nothing was measured."""
        pairs = zip(self._busy_s, self._measured_s, strict=True)
        return [100.0 * busy / measured if measured > 0 else None for busy, measured in pairs]

    def records(self) -> list[dict[str, Any]]:
        """Return them for programs."""
        return [
            {
                "cpu_percent": None if busy is None else round(busy, 1),
                "cpu_s": None if tick is None else round(tick.cpu_s, 3),
                "memory_bytes": None if tick is None else tick.resident_bytes,
            }
            for busy, tick in zip(self.busy_percent(), self._last, strict=True)
        ]
