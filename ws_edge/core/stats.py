"""Counters of the edge: plain integers, read when the metrics are scraped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class EdgeStats:
    """What happened since the process began."""

    connections_opened: int = 0
    connections_refused: int = 0
    connections_authenticated: int = 0
    frames_in: int = 0
    bytes_in: int = 0
    messages_fanned_out: int = 0
    deliveries: int = 0
    slow_consumers: int = 0
    gaps_found: int = 0
    recoveries_failed: int = 0
    late_answers: int = 0
    rate_limited: int = 0
    defects: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    closes: Counter[int] = field(default_factory=Counter)
