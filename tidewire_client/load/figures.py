"""The figures of a run: their names, which thresholds and comparisons go by, with units and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        name: For thresholds and programs.
        unit: `ms`, `s`, `/s`, `bytes`, `%`, `x` (a ratio) or empty: a count.
        words: What it is.
        less_is_better: True or False; None: neither.
    """

    name: str
    unit: str
    words: str
    less_is_better: bool | None = True


def times(prefix: str, words: str) -> tuple[Figure, ...]:
    """Return the figures of a histogram."""
    parts = (("p50", "half"), ("p90", "90 %"), ("p99", "99 %"), ("p99_9", "99.9 %"))
    own = tuple(Figure(f"{prefix}{name}_ms", "ms", f"{words}: {part} took no longer") for name, part in parts)
    return (*own, Figure(f"{prefix}max_ms", "ms", f"{words}: the longest"))


# Of every scenario.
COMMON: Final = (
    Figure("connected", "", "clients that were connected", None),
    Figure("failed", "", "clients that were not, or did not come back, in time"),
    Figure("dropped", "", "connections that ended and the load had not ended them"),
    Figure("load_cpu_percent", "%", "of a core that the busiest load process used", None),
    Figure("services_cpu_percent", "%", "of a core that all services with --metrics used", None),
)
MESSAGES: Final = (
    Figure("expected", "", "messages that clients were to get", None),
    Figure("received", "", "of these that came, each counted once", None),
    Figure("missing", "", "that did not come"),
    Figure("duplicated", "", "that came again"),
    Figure("out_of_order", "", "that came after a later one"),
    Figure("sent", "", "messages sent", None),
    Figure("confirmed", "", "messages confirmed", None),
    Figure("refused", "", "messages answered by an error"),
    Figure("unanswered", "", "messages neither confirmed nor refused on a connection that stood"),
    Figure("unsent", "", "messages due while their sender was not connected"),
    Figure("sent_per_s", "/s", "messages sent a second", False),
    Figure("delivered_per_s", "/s", "deliveries a second", False),
    *times("", "from when a message was due to its delivery"),
    Figure("confirm_p50_ms", "ms", "from when a message was due to its confirmation: half took no longer"),
    Figure("confirm_p99_ms", "ms", "from when a message was due to its confirmation: 99 % took no longer"),
    Figure("late_p99_ms", "ms", "the load sent late by no more than this, for 99 %", None),
)


def named(figures: Sequence[Figure]) -> Mapping[str, Figure]:
    """Return figures by name."""
    return {figure.name: figure for figure in figures}
