"""What a soak does, and how what it finds is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ALLOWED_GROWTH: Final = 0.05
# Of an hour ten minutes: what is filled once (caches, pools, the store up to its retention) is full by then.
WARM_UP_SHARE: Final = 1 / 6
# As many samples as are worth having; the least time between two.
SAMPLES: Final = 300
LEAST_SAMPLE_S: Final = 1.0
RETENTION_MESSAGES: Final = 10_000
WINDOW_S: Final = 60.0
WINDOW_MARGIN_S: Final = 10.0


@dataclass(frozen=True)
class Plan:
    """A soak.

    Args:
        minutes: How long, warm-up included; calibration and comparisons not.
        share: Of what the system can do on this machine.
        rate: Messages a second; 0: by a calibration.
        channels: That are published to.
        members: Of each channel, besides the publisher.
        churn_s: Seconds between two clients that lose their connection, two that join and leave, two keys that live and die.
        comparison: As long is each of the two comparisons of latency with that of services that rested meanwhile, as a share of
            the minutes; 0: there are none, as beside other work on the machine.
        redis: Whether everything is kept in Redis; else in SQLite files.
    """

    minutes: float
    share: float = 0.7
    rate: float = 0.0
    channels: int = 10
    members: int = 10
    churn_s: float = 0.5
    comparison: float = 0.4
    redis: bool = False

    @property
    def seconds(self) -> float:
        return 60 * self.minutes

    @property
    def warm_up_s(self) -> float:
        return self.seconds * WARM_UP_SHARE

    @property
    def comparison_s(self) -> float:
        return self.seconds * self.comparison

    @property
    def sample_s(self) -> float:
        return max(LEAST_SAMPLE_S, self.seconds / SAMPLES)

    @property
    def retention_messages(self) -> int:
        """Of each channel: so few that they are there before the warm-up ends, also at a low rate."""
        if not self.rate:
            return RETENTION_MESSAGES
        return max(100, min(RETENTION_MESSAGES, int(self.rate * self.warm_up_s / self.channels / 2)))

    @property
    def window_s(self) -> float:
        """Of ids: messages lie in the store for as long at least."""
        return min(WINDOW_S, self.warm_up_s / 3)

    @property
    def steady_s(self) -> float:
        """After so many seconds of a load the store holds what it will hold of that, and nothing of what was before."""
        return self.window_s + WINDOW_MARGIN_S
