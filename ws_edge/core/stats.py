"""Counters of the edge: plain integers, read when the metrics are scraped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

FAN_OUT_CLASSES: Final = 32
"""More than the bits of any number of members."""


@dataclass(slots=True)
class EdgeStats:
    """What happened since the process began.

    Attributes:
        frames_to_one: Frames for one client alone: answers, notices, pings, messages of the past.
        deliveries: Frames for one client of a message that went to all members of its channel.
        bytes_out: Of all these frames.
        fan_out_sizes: How many messages went to how many members: at `n`, those that went to `2**(n-1)` to `2**n - 1`.
    """

    connections_opened: int = 0
    connections_refused: int = 0
    connections_authenticated: int = 0
    connections_resumed: int = 0
    connections_drained: int = 0
    frames_in: int = 0
    bytes_in: int = 0
    frames_to_one: int = 0
    deliveries: int = 0
    bytes_out: int = 0
    fan_out_sizes: list[int] = field(default_factory=lambda: [0] * FAN_OUT_CLASSES)
    slow_consumers: int = 0
    gaps_found: int = 0
    gaps_healed: int = 0
    recoveries_failed: int = 0
    rate_limited: int = 0
    defects: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    closes: Counter[int] = field(default_factory=Counter)

    @property
    def frames_out(self) -> int:
        """Frames put into outboxes."""
        return self.frames_to_one + self.deliveries

    @property
    def messages_fanned_out(self) -> int:
        """Messages delivered to the members of their channel here."""
        return sum(self.fan_out_sizes)
