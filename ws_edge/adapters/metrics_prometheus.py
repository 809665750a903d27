"""The edge's counters as Prometheus metrics, read when they are scraped: nothing is counted twice on the message path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from service_runtime.metrics import SECONDS, Spread, cumulative
from service_runtime.tls_files import RELOADS
from ws_edge.adapters.canary import Canary
from ws_edge.adapters.grpc_session_stream import SessionStream
from ws_edge.core.close_codes import CloseCode
from ws_edge.core.connection import State
from ws_edge.core.errors import ErrorType
from ws_edge.core.gateway import Gateway
from ws_edge.core.stats import EdgeStats

_EDGE_COUNTERS = {
    "connections_opened": "Connections taken in",
    "connections_refused": "Connections told to try again later",
    "connections_authenticated": "Connections whose key was accepted",
    "connections_resumed": "Connections accepted that went on where an earlier one had stopped",
    "connections_drained": "Connections let go because this edge stops",
    "frames_in": "Frames of clients",
    "bytes_in": "Bytes of clients' frames",
    "frames_out": "Frames put into outboxes",
    "bytes_out": "Bytes of frames put into outboxes",
    "messages_fanned_out": "Messages delivered to the members of their channel here",
    "deliveries": "Frames put into outboxes by fan-out: one for each member of a message's channel",
    "slow_consumers": "Connections closed because they read too slowly",
    "gaps_found": "Gaps found in a channel's offsets, and asked for",
    "gaps_healed": "Gaps in a channel's offsets that were filled without a loss",
    "recoveries_failed": "Channels in which something missed is no longer kept",
    "rate_limited": "Frames refused by a rate limit",
    "defects": "Exceptions that nobody foresaw",
}
_STREAM_COUNTERS = {
    "attached": "Times the stream to a session service was attached",
    "attach_failures": "Times the stream to a session service could not be attached",
    "drained": "Times that the session service said that it stops",
    "batches_sent": "Messages of the stream in which commands were sent",
    "batches_received": "Messages of the stream in which events came",
    "commands": "Commands sent to session services",
    "events": "Events received from session services",
    "retries": "Commands repeated after the session service could not do them",
    "held_commands": "Commands that waited behind one that was to be repeated, to keep their order",
    "overtaken_commands": "Commands not repeated, as a later one of their session was done already",
    "timeouts": "Commands that were not done in time",
    "late_answers": "Answers that came after their deadline",
    "dropped_commands": "Commands without an answer that were lost while no session service was there",
}
# Up to 2**17 - 1 members: more than an edge holds. All above are in the bucket without a bound.
_FAN_OUT_BOUNDS = tuple(2**bits - 1 for bits in range(18))


class EdgeTimes:
    """What the edge times as it happens: at most once a turn of the event loop.

    Args:
        registry: Where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.flush = Spread(
            "tidewire_edge_flush_seconds",
            "Time to write out what a turn of the event loop had put into outboxes",
            SECONDS,
            registry,
        )
        self.canary = Spread(
            "tidewire_edge_canary_seconds", "Time of canaries through the engine and back", SECONDS, registry
        )


class EdgeCollector(Collector):
    """Collects from the gateway, the stream and the canary."""

    def __init__(self, gateway: Gateway, stream: SessionStream, canary: Canary) -> None:
        self._gateway = gateway
        self._stream = stream
        self._canary = canary

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        stats = self._gateway.stats
        for name, text in _EDGE_COUNTERS.items():
            yield CounterMetricFamily(f"tidewire_edge_{name}", text, value=getattr(stats, name))
        for name, text in _STREAM_COUNTERS.items():
            yield CounterMetricFamily(f"tidewire_edge_stream_{name}", text, value=getattr(self._stream.stats, name))
        errors = {error_type.value: stats.errors[error_type.value] for error_type in ErrorType}
        yield _labelled("tidewire_edge_errors", "Error frames sent", "error_type", errors)
        closes = {str(int(code)): stats.closes[int(code)] for code in CloseCode}
        yield _labelled("tidewire_edge_closes", "Connections closed by the edge", "code", closes)
        yield _fan_out(stats)
        yield from self._connections()
        yield from self._session_service()
        yield from self._readiness()

    def _connections(self) -> Iterator[Metric]:
        states: Counter[State] = Counter()
        waiting = largest = 0
        for connection in self._gateway.registry:
            states[connection.state] += 1
            unsent = connection.outbox.unsent
            waiting += unsent
            largest = max(largest, unsent)
        connections = GaugeMetricFamily("tidewire_edge_connections", "Connections now", labels=["state"])
        for state in (State.AWAITING_KEY, State.AUTHENTICATING, State.AUTHENTICATED):
            connections.add_metric([state.name.lower()], states[state])
        yield connections
        yield GaugeMetricFamily(
            "tidewire_edge_max_connections",
            "Connections that are taken at most: as the settings say, or fewer where the limit of open files is low",
            value=self._gateway.registry.max_connections,
        )
        yield GaugeMetricFamily("tidewire_edge_outbox_bytes", "Bytes that clients have not taken yet", value=waiting)
        yield GaugeMetricFamily(
            "tidewire_edge_largest_outbox_bytes",
            "Bytes that wait for the client that is furthest behind",
            value=largest,
        )
        yield GaugeMetricFamily("tidewire_edge_topics", "Channels with members here", value=len(self._gateway.topics))

    def _session_service(self) -> Iterator[Metric]:
        attached = GaugeMetricFamily(
            "tidewire_edge_session_service", "1 while attached to this session service", labels=["service_id"]
        )
        if self._stream.service_id:
            attached.add_metric([self._stream.service_id], float(self._stream.live))
        yield attached
        yield GaugeMetricFamily(
            "tidewire_edge_pending_commands", "Commands not answered yet", value=self._stream.pending
        )
        yield GaugeMetricFamily(
            "tidewire_edge_oldest_pending_command_seconds",
            "Time that the oldest command without an answer has waited",
            value=self._stream.oldest_pending_s,
        )

    def _readiness(self) -> Iterator[Metric]:
        leaving = self._gateway.leaving
        ready = float(self._canary.problem() is None and not leaving)
        yield GaugeMetricFamily("tidewire_edge_ready", "1 when this edge can deliver", value=ready)
        yield GaugeMetricFamily("tidewire_edge_draining", "1 while this edge stops", value=float(leaving))
        yield GaugeMetricFamily(
            "tidewire_edge_canary_round_trip_seconds",
            "Time of the last canary through the engine and back",
            value=self._canary.round_trip_s,
        )
        yield CounterMetricFamily(
            "tidewire_edge_canary_alarms", "Times the edge could not deliver", value=self._canary.alarms
        )


def new_registry() -> CollectorRegistry:
    """Return a registry with what all processes of Python show, and the reloads of TLS files."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(RELOADS)
    return registry


def _fan_out(stats: EdgeStats) -> Metric:
    sizes = stats.fan_out_sizes
    counts = [*sizes[: len(_FAN_OUT_BOUNDS)], sum(sizes[len(_FAN_OUT_BOUNDS) :])]
    return HistogramMetricFamily(
        "tidewire_edge_fan_out_size",
        "Members here that a message was delivered to",
        buckets=cumulative(_FAN_OUT_BOUNDS, counts),
        sum_value=stats.deliveries,
    )


def _labelled(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
