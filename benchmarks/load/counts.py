"""What the generator counted: of opening connections, and of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# Over this share of one core the generator itself may be what holds a server up.
BUSIEST: Final = 0.9
LATEST_SEND_US: Final = 1000.0


@dataclass(frozen=True)
class Times:
    """A histogram, in microseconds; a quantile is at most 1/32 too high, never too low.

    Args:
        count: Of what was timed.
        p50: The median.
        p90: Nine tenths were quicker.
        p99: 99 of 100 were quicker.
        p99_9: 999 of 1,000 were quicker.
        largest: The slowest.
        buckets: Upper bounds and counts, without the empty ones.
    """

    count: int
    p50: float
    p90: float
    p99: float
    p99_9: float
    largest: float
    buckets: tuple[tuple[float, int], ...]

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Times:
        """Read what the generator wrote."""
        return cls(**{**value, "buckets": tuple((float(top), int(count)) for top, count in value["buckets"])})


@dataclass(frozen=True)
class Opening:
    """How connections were opened and their handshakes done.

    Args:
        seconds: It took.
        cpu_seconds: Of the generator.
        opened: How many are open.
        failed: How many are not.
        time: Of each, from its first packet to the end of its handshake.
        failure: Of the first that is not open, in words; empty if all are.
    """

    seconds: float
    cpu_seconds: float
    opened: int
    failed: int
    time: Times
    failure: str

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Opening:
        """Read what the generator wrote."""
        own = (float(value["seconds"]), float(value["cpu_seconds"]), int(value["opened"]), int(value["failed"]))
        return cls(*own, Times.parse(value["time"]), failure_text(value))


@dataclass(frozen=True)
class Run:
    """What was sent and what came.

    Args:
        seconds: From the first message to the last that came.
        cpu_seconds: Of the generator, in that time.
        sent: Messages.
        expected: Deliveries, over all members.
        received: Deliveries that came, each counted once.
        confirmations: Messages that the server confirmed.
        latency: From the moment a message was due to each delivery.
        confirmation: The same to its confirmation.
        lateness: How late the generator sent what had a schedule.
        faults: What is wrong, one line each; empty: every member got every message once and in order.
    """

    seconds: float
    cpu_seconds: float
    sent: int
    expected: int
    received: int
    confirmations: int
    latency: Times
    confirmation: Times
    lateness: Times
    faults: tuple[str, ...]

    @classmethod
    def parse(cls, value: Mapping[str, Any], confirmed: int) -> Run:
        """Read what the generator wrote.

        Args:
            value: That.
            confirmed: How many messages had to be confirmed.
        """
        return cls(
            seconds=value["seconds"],
            cpu_seconds=value["cpu_seconds"],
            sent=value["sent"],
            expected=value["expected"],
            received=value["received"],
            confirmations=value["confirmations"],
            latency=Times.parse(value["latency"]),
            confirmation=Times.parse(value["confirmation"]),
            lateness=Times.parse(value["lateness"]),
            faults=tuple(_faults(value, confirmed)),
        )

    @property
    def generator_share(self) -> float:
        """The share of one core that the generator was busy, 0 to 1."""
        return self.cpu_seconds / self.seconds if self.seconds else 0.0

    @property
    def generator_was_the_limit(self) -> bool:
        """Whether the figures may be the generator's instead of the server's."""
        return self.generator_share > BUSIEST or self.lateness.p99 > LATEST_SEND_US


def failure_text(value: Mapping[str, Any]) -> str:
    """Return the first failed connection in words; empty if there is none."""
    failure = value.get("failure")
    if failure is None:
        return ""
    heard = bytes.fromhex(failure["last"]).decode(errors="replace")
    close = f", closed with {failure['close_code']}" if failure["close_code"] else ""
    if failure["step"] == failure["steps"]:
        return f"connection {failure['connection']}{close}"
    return f"connection {failure['connection']} at step {failure['step']} of its handshake{close}; it heard {heard!r}"


def _faults(value: Mapping[str, Any], confirmed: int) -> list[str]:
    faults = []
    if value["received"] != value["expected"]:
        faults.append(f"{value['expected'] - value['received']} of {value['expected']} deliveries lost")
    for name, words in (("duplicated", "came twice"), ("reordered", "came out of order")):
        if value[name]:
            faults.append(f"{value[name]} deliveries {words}")
    if value["foreign"]:
        faults.append(f"{value['foreign']} deliveries came to who was no member")
    if value["closed"]:
        faults.append(f"{value['closed']} connections were closed: {failure_text(value)}")
    if value["confirmations"] != confirmed:
        faults.append(f"{confirmed - value['confirmations']} of {confirmed} messages not confirmed")
    if value["confirmations_twice"]:
        faults.append(f"{value['confirmations_twice']} messages confirmed twice")
    faults += [
        f"connection {wrong['connection']}, stream {wrong['stream']}: {wrong['lost']} lost,"
        f" {wrong['duplicated']} twice, {wrong['reordered']} out of order"
        for wrong in value["wrong"]
    ]
    return faults
