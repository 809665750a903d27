"""What a service did between two scrapes: rates from counters, times from histograms, the rest as it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tidewire_client.top.scrape import Scrape


@dataclass(frozen=True, slots=True)
class Times:
    """How long something took in the interval, in milliseconds; estimated from the buckets of a histogram."""

    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One process in one interval; None: it has no such figure, or there was nothing to measure.

    Attributes:
        service: `edge`, `session` or `auth`.
        ready: It can do its work.
        connections: Clients of an edge, edges of a session service, watchers of an auth service.
        frames_in_per_s: Of clients; of a session service: commands of edges.
        frames_out_per_s: To clients; of a session service: messages to edges.
        deliveries_per_s: Messages to members of their channels.
        calls_per_s: Calls over gRPC that ended.
        rpc: Times of unary calls.
        flush: Times to write what a turn of the event loop had gathered.
        commit: Times of the message store's commits.
        canary: Times of a message through the store and back.
        loop_lag: How late the event loop was.
        outbox_bytes: What waits for clients, or edges, to take it.
        waiting: Commands, or messages, that wait for an answer.
        slow_consumers: Clients, or edges, that were let go because they did not read, since the process began.
        gaps: In what was delivered, since the process began.
    """

    service: str
    ready: bool | None = None
    connections: float | None = None
    frames_in_per_s: float | None = None
    frames_out_per_s: float | None = None
    bytes_in_per_s: float | None = None
    bytes_out_per_s: float | None = None
    deliveries_per_s: float | None = None
    calls_per_s: float | None = None
    rpc: Times | None = None
    flush: Times | None = None
    commit: Times | None = None
    canary: Times | None = None
    loop_lag: Times | None = None
    outbox_bytes: float | None = None
    waiting: float | None = None
    slow_consumers: float | None = None
    gaps: float | None = None


@dataclass(frozen=True, slots=True)
class _Names:
    """The metrics of one service, without `tidewire_<service>_`."""

    levels: dict[str, str]
    rates: dict[str, str]
    times: dict[str, str]


_SERVICES: Final = {
    "edge": _Names(
        levels={
            "ready": "ready",
            "connections": "connections",
            "outbox_bytes": "outbox_bytes",
            "waiting": "pending_commands",
            "slow_consumers": "slow_consumers_total",
            "gaps": "gaps_found_total",
        },
        rates={
            "frames_in_per_s": "frames_in_total",
            "frames_out_per_s": "frames_out_total",
            "bytes_in_per_s": "bytes_in_total",
            "bytes_out_per_s": "bytes_out_total",
            "deliveries_per_s": "deliveries_total",
        },
        times={"flush": "flush_seconds", "canary": "canary_seconds", "loop_lag": "loop_lag_seconds"},
    ),
    "session": _Names(
        levels={
            "ready": "engine_healthy",
            "connections": "edges",
            "outbox_bytes": "outbox_bytes",
            "waiting": "engine_pending",
            "slow_consumers": "edges_cut_off_total",
            "gaps": "gaps_total",
        },
        rates={
            "frames_in_per_s": "commands_total",
            "deliveries_per_s": "delivered_total",
            "calls_per_s": "rpcs_total",
        },
        times={
            "rpc": "rpc_seconds",
            "flush": "write_seconds",
            "commit": "engine_append_seconds",
            "canary": "canary_seconds",
            "loop_lag": "loop_lag_seconds",
        },
    ),
    "auth": _Names(
        levels={"ready": "store_healthy", "connections": "watchers"},
        rates={"calls_per_s": "rpcs_total"},
        times={"rpc": "rpc_seconds", "canary": "store_canary_seconds", "loop_lag": "loop_lag_seconds"},
    ),
}
# Each service has it.
_MARK: Final = "loop_lag_seconds_count"


def figures(before: Scrape, now: Scrape) -> Figures | None:
    """Return what a process did between two scrapes of it; None: it is no service of ours."""
    service = next((name for name in _SERVICES if now.total(f"tidewire_{name}_{_MARK}") is not None), None)
    if service is None:
        return None
    names, prefix = _SERVICES[service], f"tidewire_{service}_"
    seconds = now.at_s - before.at_s
    found: dict[str, Any] = {field: now.total(prefix + name) for field, name in names.levels.items()}
    found |= {field: _rate(prefix + name, before, now, seconds) for field, name in names.rates.items()}
    found |= {field: _times(prefix + name, before, now) for field, name in names.times.items()}
    ready = found.pop("ready")
    return Figures(service, None if ready is None else ready > 0, **found)


def _rate(name: str, before: Scrape, now: Scrape, seconds: float) -> float | None:
    """Return what a counter grew by in a second. One that has become smaller began anew: its process was started again."""
    count, earlier = now.total(name), before.total(name) or 0.0
    if count is None or seconds <= 0:
        return None
    return (count - earlier if count >= earlier else count) / seconds


def _times(name: str, before: Scrape, now: Scrape) -> Times | None:
    buckets, earlier = now.buckets(name), before.buckets(name)
    grown = [(bound, count - earlier.get(bound, 0.0)) for bound, count in sorted(buckets.items())]
    if any(count < 0 for _, count in grown):
        grown = sorted(buckets.items())
    if not grown or grown[-1][1] <= 0:
        return None
    return Times(1000 * _quantile(0.5, grown), 1000 * _quantile(0.99, grown))


def _quantile(part: float, buckets: list[tuple[float, float]]) -> float:
    """Return a quantile as Prometheus estimates it: evenly spread in its bucket; beyond the last bound: that bound."""
    rank = part * buckets[-1][1]
    lower, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank:
            if bound == float("inf"):
                break
            return lower + (bound - lower) * ((rank - below) / (count - below) if count > below else 1.0)
        lower, below = bound, count
    return lower
