"""What the session service counts, as Prometheus metrics."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from service_runtime.metrics import SECONDS, Spread, Tally

_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


class EngineMetrics:
    """What an engine counts.

    Args:
        registry: Where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "tidewire_session_engine"
        self.appended = Tally(f"{prefix}_appended", "Messages stored", registry)
        self.duplicates = Tally(f"{prefix}_duplicates", "Publishes that were stored before", registry)
        self.refused = Tally(f"{prefix}_refused", "Publishes refused because too many waited", registry)
        self.errors = Tally(f"{prefix}_errors", "Commands that the engine failed", registry)
        self.acks_dropped = Tally(
            f"{prefix}_acks_dropped", "Acknowledgements dropped because too many waited", registry
        )
        self.group_size = Spread(f"{prefix}_group_size", "Commands in one commit", _SIZES, registry)
        self.append_seconds = Spread(f"{prefix}_append_seconds", "Time that one commit took", SECONDS, registry)
        self.pending = Gauge(f"{prefix}_pending", "Publishes that wait to be stored", registry=registry)
        self.gaps_filled = Tally(
            f"{prefix}_gaps_filled", "Times that what was published but not heard was read from the store", registry
        )
        self.gap_reads_failed = Tally(
            f"{prefix}_gap_reads_failed",
            "Times that what was published but not heard could not be read from the store for now",
            registry,
        )


class StreamMetrics:
    """What the edge streams count.

    Args:
        registry: Where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "tidewire_session"
        self.commands = Tally(f"{prefix}_commands", "Commands of edges", registry)
        self.batch_size = Spread(f"{prefix}_batch_size", "Commands that came from an edge at once", _SIZES, registry)
        self.write_seconds = Spread(
            f"{prefix}_write_seconds",
            "Time until the stream to an edge took what was written at once",
            SECONDS,
            registry,
        )
        self.outbox_bytes = Gauge(f"{prefix}_outbox_bytes", "Bytes that wait to be written to edges", registry=registry)
        self.failed = Tally(f"{prefix}_commands_failed", "Commands answered with a failure", registry)
        self.delivered = Tally(f"{prefix}_delivered", "Messages sent to edges, one count an edge", registry)
        self.gaps = Tally(f"{prefix}_gaps", "Gaps in what the engine delivered, left to edges to find", registry)
        self.renewed = Tally(f"{prefix}_epochs_renewed", "Channels that got another epoch in use", registry)
        self.cut_off = Tally(f"{prefix}_edges_cut_off", "Edges cut off because they did not read", registry)
        self.edges = Gauge(f"{prefix}_edges", "Edges attached", registry=registry)
        self.channels = Gauge(f"{prefix}_channels", "Active channels", registry=registry)
        self.engine_healthy = Gauge(
            f"{prefix}_engine_healthy", "1 while canaries come back through the message store", registry=registry
        )
        self.engine_alarms = Tally(f"{prefix}_engine_alarms", "Times that canaries ceased to come back", registry)
        self.canary_seconds = Spread(
            f"{prefix}_canary_seconds", "Time of canaries through the message store and back", SECONDS, registry
        )
        self.canaries_lost = Tally(f"{prefix}_canaries_lost", "Canaries that did not return", registry)


class ClusterMetrics:
    """What is counted of session services that share a Redis.

    Args:
        registry: Where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "tidewire_session_cluster"
        self.services = Gauge(f"{prefix}_services", "Session services that live, this one included", registry=registry)
        self.leases_lost = Counter(
            f"{prefix}_leases_lost", "Times that this service was away too long", registry=registry
        )
        self.heartbeats_failed = Counter(f"{prefix}_heartbeats_failed", "Heartbeats that failed", registry=registry)
        self.reaped = Counter(
            f"{prefix}_services_reaped", "Dead services whose members were dropped", registry=registry
        )
        self.retries = Counter(f"{prefix}_presence_retries", "Words of presence that are said again", registry=registry)
        self.silent = Counter(f"{prefix}_silent_services", "Questions that a live service left open", registry=registry)
        self.malformed = Counter(
            f"{prefix}_malformed", "Words of other services that are not understood", registry=registry
        )
        self.deaf = Counter(f"{prefix}_deaf", "Times that what is published was not heard", registry=registry)
        self.refused = Counter(f"{prefix}_questions_refused", "Questions refused: too many at once", registry=registry)
