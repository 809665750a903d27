"""The edge's counters as Prometheus metrics, read when they are scraped: nothing is counted twice on the message path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidewire_client.verifier import VerifierStats
from ws_edge.adapters.canary import Canary
from ws_edge.adapters.grpc_session_stream import SessionStream
from ws_edge.core.connection import State
from ws_edge.core.gateway import Gateway

_EDGE_COUNTERS = {
    "connections_opened": "Connections taken in",
    "connections_refused": "Connections told to try again later",
    "connections_authenticated": "Connections whose key was accepted",
    "frames_in": "Frames of clients",
    "bytes_in": "Bytes of those frames",
    "messages_fanned_out": "Messages delivered to the members of their channel here",
    "deliveries": "Frames put into outboxes by fan-out",
    "slow_consumers": "Connections closed because they read too slowly",
    "gaps_found": "Gaps found in a channel's offsets, and asked for",
    "recoveries_failed": "Channels in which something missed is no longer kept",
    "rate_limited": "Frames refused by a rate limit",
    "defects": "Exceptions that nobody foresaw",
}
_STREAM_COUNTERS = {
    "attached": "Times the stream to a session service was attached",
    "commands": "Commands sent to session services",
    "events": "Events received from session services",
    "retries": "Commands repeated after the session service could not do them",
    "held_commands": "Commands that waited behind one that was to be repeated, to keep their order",
    "overtaken_commands": "Commands not repeated, as a later one of their session was done already",
    "timeouts": "Commands that were not done in time",
    "late_answers": "Answers that came after their deadline",
    "dropped_commands": "Commands without an answer that were lost while no session service was there",
}


class EdgeCollector(Collector):
    """Collects from the gateway, the stream, the canary and the verifier."""

    def __init__(self, gateway: Gateway, stream: SessionStream, canary: Canary, verifier: VerifierStats) -> None:
        self._gateway = gateway
        self._stream = stream
        self._canary = canary
        self._verifier = verifier

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        stats = self._gateway.stats
        for name, text in _EDGE_COUNTERS.items():
            yield CounterMetricFamily(f"tidewire_edge_{name}", text, value=getattr(stats, name))
        for name, text in _STREAM_COUNTERS.items():
            yield CounterMetricFamily(f"tidewire_edge_stream_{name}", text, value=getattr(self._stream.stats, name))
        yield _labelled("tidewire_edge_errors", "Error frames sent", "error_type", stats.errors)
        yield _labelled("tidewire_edge_closes", "Connections closed by the edge", "code", stats.closes)
        yield from self._gauges()
        for name, value in asdict(self._verifier).items():
            yield GaugeMetricFamily(f"tidewire_edge_verifier_{name}", f"Key verification: {name}", value=value)

    def _gauges(self) -> Iterator[Metric]:
        states = Counter(connection.state for connection in self._gateway.registry)
        connections = GaugeMetricFamily("tidewire_edge_connections", "Connections now", labels=["state"])
        for state in (State.AWAITING_KEY, State.AUTHENTICATING, State.AUTHENTICATED):
            connections.add_metric([state.name.lower()], states[state])
        yield connections
        yield GaugeMetricFamily("tidewire_edge_topics", "Channels with members here", value=len(self._gateway.topics))
        attached = GaugeMetricFamily(
            "tidewire_edge_session_service", "1 while attached to this session service", labels=["service_id"]
        )
        if self._stream.service_id:
            attached.add_metric([self._stream.service_id], float(self._stream.live))
        yield attached
        yield GaugeMetricFamily(
            "tidewire_edge_pending_commands", "Commands not answered yet", value=self._stream.pending
        )
        ready = float(self._canary.problem() is None and not self._gateway.leaving)
        yield GaugeMetricFamily("tidewire_edge_ready", "1 when this edge can deliver", value=ready)
        yield GaugeMetricFamily(
            "tidewire_edge_canary_round_trip_seconds",
            "Time of the last canary through the engine and back",
            value=self._canary.round_trip_s,
        )
        yield CounterMetricFamily(
            "tidewire_edge_canary_alarms", "Times the edge could not deliver", value=self._canary.alarms
        )


def _labelled(name: str, text: str, label: str, counts: Counter[str] | Counter[int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in counts.items():
        family.add_metric([str(value)], count)
    return family
