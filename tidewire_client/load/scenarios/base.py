"""What all scenarios share: what they are asked, and how they put what they found into figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tidewire_client.load.figures import Figure
from tidewire_client.load.histogram import Histogram
from tidewire_client.load.plan import Drained
from tidewire_client.load.stage import Stage


@dataclass(frozen=True, slots=True)
class Limits:
    """What the edge lets one connection do, as it says in `connection_success`; None: it does not say.

    Attributes:
        frames_per_second: Frames a second.
        bytes_per_second: Bytes a second.
        max_message_bytes: Of a message's data.
    """

    frames_per_second: int | None = None
    bytes_per_second: int | None = None
    max_message_bytes: int | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Limits:
        """Read the `data` of `connection_success`."""
        limits = data.get("limits")
        known = limits if isinstance(limits, dict) else {}
        names = ("frames_per_second", "bytes_per_second", "max_message_bytes")
        # 0 is no limit.
        return cls(*(known[name] if isinstance(known.get(name), int) and known[name] else None for name in names))


class Scenario(Protocol):
    """One way to load a gateway. Its options are its fields."""

    @property
    def name(self) -> str:
        """As on the command line."""

    @property
    def figures(self) -> Sequence[Figure]:
        """What it measures."""

    @property
    def clients(self) -> int:
        """How many connections it holds at the same time."""

    @property
    def publishes(self) -> bool:
        """It sends messages, which takes the permission for it."""

    def check(self, limits: Limits) -> None:
        """Refuse what the edge would refuse.

        Raises:
            ValueError: The options go beyond a limit; the text says which, and what would not.
        """

    async def play(self, stage: Stage) -> None:
        """Do it; what it finds goes into `stage.findings`."""


def check_publisher(limits: Limits, rate: float, size: int, remedy: str) -> None:
    """Refuse a rate or a size that the edge would refuse of one connection.

    Args:
        limits: Of the edge.
        rate: Messages a second of one publisher.
        size: Characters of each message.
        remedy: What to do about a rate.

    Raises:
        ValueError: They go beyond a limit.
    """
    if limits.max_message_bytes is not None and size + 16 > limits.max_message_bytes:
        raise ValueError(f"--size {size}: the edge takes messages of up to {limits.max_message_bytes} bytes")
    if limits.frames_per_second is not None and rate > limits.frames_per_second:
        raise ValueError(
            f"--rate: one connection would send {rate:g} messages a second, and the edge takes "
            f"{limits.frames_per_second} of it: {remedy}"
        )
    if limits.bytes_per_second is not None and rate * (size + 200) > limits.bytes_per_second:
        raise ValueError(
            f"--rate, --size: one connection would send {rate * (size + 200):.0f} bytes a second, and the edge takes "
            f"{limits.bytes_per_second} of it: {remedy}"
        )


def put_messages(stage: Stage, drained: Drained, seconds: float, sent: int) -> None:
    """Put what was measured of messages into figures.

    Args:
        stage: Of the run.
        drained: What came of what was measured.
        seconds: How long it was sent.
        sent: Messages in that time.
    """
    values = stage.findings.figures
    values["sent_per_s"] = sent / seconds
    values["delivered_per_s"] = (drained.latency.count + drained.catch_up.count) / seconds
    values["confirm_p50_ms"] = drained.confirmation.quantile_ms(0.5)
    values["confirm_p99_ms"] = drained.confirmation.quantile_ms(0.99)
    values["late_p99_ms"] = drained.lateness.quantile_ms(0.99)
    put_times(stage, "", "latency", drained.latency)


def put_times(stage: Stage, prefix: str, words: str, histogram: Histogram) -> None:
    """Put times into figures, and keep them for plots."""
    parts = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "max": 1.0}
    for name, part in parts.items():
        stage.findings.figures[f"{prefix}{name}_ms"] = histogram.quantile_ms(part)
    if histogram:
        stage.findings.histograms[words] = histogram
