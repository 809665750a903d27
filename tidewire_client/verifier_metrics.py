"""What a verifier of keys counts, as Prometheus metrics: for the registry of whoever has one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidewire_client.verifier import KeyVerifier

_COUNTERS: Final = {
    "hits": "Questions answered by a verdict that was known",
    "misses": "Questions that the auth service was asked for",
    "calls": "Calls of the auth service",
    "batched": "Verifications in calls of the auth service that take several keys at once",
    "stale_uses": "Verdicts used beyond their time, because the auth service was away",
    "refused_unavailable": "Questions without an answer, because the auth service was away",
    "fills_rejected": "Verdicts asked for again, because the key changed meanwhile",
    "changes": "Changes of keys that were heard of",
    "resyncs": "Times that changes may have been missed, and everything was asked for again",
    "silences": "Times that the watch of changes was silent for too long, and another connection was opened",
}


class VerifierCollector(Collector):
    """Collects from a verifier.

    Args:
        prefix: Of the metrics, e.g. `tidewire_edge_verifier`.
        verifier: The verifier.
    """

    def __init__(self, prefix: str, verifier: KeyVerifier) -> None:
        self._prefix = prefix
        self._verifier = verifier

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        for name, text in _COUNTERS.items():
            value = getattr(self._verifier.stats, name)
            yield CounterMetricFamily(f"{self._prefix}_{name}", text, value=value)
        yield GaugeMetricFamily(
            f"{self._prefix}_watch_silence_seconds",
            "Time since the watch of key changes last said anything; infinite before the first time",
            value=self._verifier.watch_silence_s,
        )
