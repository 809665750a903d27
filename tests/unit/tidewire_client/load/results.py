"""A result as tests of reports and comparisons want it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tidewire_client.load.figures import COMMON, MESSAGES
from tidewire_client.load.histogram import Histogram
from tidewire_client.load.ledger import Account
from tidewire_client.load.result import ClientResult, Result
from tidewire_client.load.timeline import Timeline


def times(*milliseconds: float) -> Histogram:
    histogram = Histogram()
    for value in milliseconds:
        histogram.record(int(value * 1000))
    return histogram


def timeline(points: int) -> Timeline:
    made = Timeline(0.0)
    for second in range(points):
        point = made.at(second + 0.5)
        point.sent, point.delivered, point.open = 10, 20 + second, 5
        point.latency.record(1000 * (second + 1))
        point.memory_bytes = 50e6 + second * 1e6
        point.load_memory_bytes = 30e6
    return made


def result(**changes: Any) -> Result:
    fields: dict[str, Any] = {
        "scenario": "echo",
        "started": datetime(2026, 11, 27, 12, 0, tzinfo=UTC),
        "seconds": 31.4,
        "url": "http://edge.example:8000",
        "place": "personal/personal",
        "options": {"rate": 100.0, "size": 100},
        "known": (*COMMON, *MESSAGES),
        "figures": {"p99_ms": 4.25, "expected": 30, "received": 30, "missing": 0, "sent_per_s": 100.0, "failed": 0},
        "clients": [client(0), client(1)],
        "histograms": {"latency": times(1, 2, 3, 50)},
        "timeline": timeline(8).records(),
        "marks": [(0.0, "connecting"), (1.5, "sending")],
        "load_processes": [{"cpu_percent": 12.5, "cpu_s": 4.0, "memory_bytes": 40_000_000}],
    }
    return Result(**{**fields, **changes})


def client(number: int, **counts: int) -> ClientResult:
    return ClientResult(f"load-0a1b2c3d-{number}", Account(**{"expected": 15, "received": 15, **counts}))
