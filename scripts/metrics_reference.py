"""The reference of metrics, docs/reference/metrics.md: made from the services' collectors, so that it says nothing else.

A test compares it with what running services show.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry

from auth_service.adapters import metrics as auth_metrics
from scripts.environment import ROOT
from service_runtime.loop_lag import LoopLag
from service_runtime.metrics import Tally
from service_runtime.rpc_metrics import RpcMetrics
from service_runtime.tracing.tracing import LEFT_OUT
from session_service.adapters.metrics_prometheus import ClusterMetrics, EngineMetrics, StreamMetrics
from tidewire_client.verifier import KeyVerifier
from tidewire_client.verifier_metrics import VerifierCollector
from ws_edge.app import Edge
from ws_edge.settings import EdgeSettings

FILE: Final = ROOT / "docs" / "reference" / "metrics.md"
PREFIX: Final = "tidewire_"
_SHARED_PREFIX: Final = "tidewire_tls_"
_SECTIONS: Final = (
    ("All services", _SHARED_PREFIX, "Of processes that use TLS files, and of those that could."),
    (
        "Edge",
        "tidewire_edge_",
        "`GET /metrics` on its port, and on `TIDEWIRE_EDGE_METRICS_PORT`. With several workers each has the label `worker`.",
    ),
    (
        "Session service",
        "tidewire_session_",
        "`TIDEWIRE_SESSION_METRICS_PORT`. Those of `tidewire_session_cluster_` only on Redis.",
    ),
    ("Auth service", "tidewire_auth_", "`TIDEWIRE_AUTH_METRICS_PORT`."),
)
_LABELS: Final = {
    "code": "of closes: the WebSocket close code; of calls: the gRPC status; of verdicts: the verdict",
    "endpoint": "the path of an HTTP endpoint, as it is declared",
    "error_type": "as in the `error` frame, [protocol](../protocol.md)",
    "method": "service and method; `unknown`: one that the server does not have",
    "outcome": "`done`, `failed`, `overtaken` by a change of the key, `dropped` because too many waited",
    "reason": "of faults: a name of the contract's `ErrorReason`; of resyncs: `slow`, `revision`, `log`",
    "result": "`taken`, `refused`",
    "service_id": "of the session service that the edge is, or was last, attached to: one at a time",
    "state": "`awaiting_key`, `authenticating`, `authenticated`",
    "status": "of HTTP",
}
_INTRODUCTION: Final = """# Metrics

<!-- Generated from the collectors of the services by `python3 scripts/manage.py check --fix`. Do not edit. -->

What each service shows Prometheus. Besides, all show what the Python client knows of every process: `process_*` (CPU, memory,
open files) and `python_*`. No label holds a client, a channel or a key. Counters and histograms begin anew with each process:
use `rate` or `increase`. Nothing on a message's way costs more than the addition of numbers: what is a sum, a size or a
gauge is worked out when it is scraped.

Ready-made: [scrape configuration, alert rules, dashboard](../../deploy/monitoring). What each alert means:
[runbook](../runbook.md).
"""
_HEAD: Final = "| metric | type | labels | what it is |\n|---|---|---|---|\n"


@dataclass(frozen=True)
class Description:
    """What is said of a metric."""

    name: str
    kind: str
    labels: tuple[str, ...]
    words: str


@cache
def descriptions() -> Sequence[Description]:
    """Return all metrics of all services, in order of their names."""
    return asyncio.run(_described())


def render() -> str:
    """Return the page."""
    parts = [_INTRODUCTION]
    for title, prefix, words in _SECTIONS:
        rows = [_row(metric) for metric in descriptions() if metric.name.startswith(prefix)]
        parts += [f"\n## {title}\n\n{words}\n\n", _HEAD, *rows]
    used = {label for metric in descriptions() for label in metric.labels}
    parts += ["\n## Labels\n\n| label | values |\n|---|---|\n"]
    parts += [f"| `{label}` | {_LABELS[label]} |\n" for label in sorted(used)]
    return "".join(parts)


def is_fresh(file: Path = FILE) -> bool:
    """Whether the page is what the collectors say."""
    return file.exists() and file.read_text() == render()


def write(file: Path = FILE) -> None:
    """Write the page."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(render())


async def _described() -> Sequence[Description]:
    edge = Edge(EdgeSettings.model_validate({"mode": "development"}))
    verifier = KeyVerifier("127.0.0.1:1")
    try:
        found = {
            metric
            for registry in (edge.registry, _session_registry(verifier), _auth_registry())
            for metric in _of(registry)
        }
    finally:
        await edge.close()
        await verifier.close()
    return sorted(found, key=lambda metric: metric.name)


def _session_registry(verifier: KeyVerifier) -> CollectorRegistry:
    registry = CollectorRegistry()
    for make in (StreamMetrics, EngineMetrics, ClusterMetrics):
        make(registry)
    LoopLag("tidewire_session", registry)
    RpcMetrics("tidewire_session", registry)
    Tally("tidewire_session_traces_left_out", LEFT_OUT, registry)
    registry.register(VerifierCollector("tidewire_session_verifier", verifier))
    return registry


def _auth_registry() -> CollectorRegistry:
    assert auth_metrics.RPCS is not None  # it is the import that registers them all
    return REGISTRY


def _of(registry: CollectorRegistry) -> Iterable[Description]:
    for collector in list(registry._collector_to_names):
        for family in collector.collect():
            if family.name.startswith(PREFIX):
                # What has no sample yet has its labels all the same; the library does not show them.
                labels = getattr(collector, "_labelnames", ()) or getattr(family, "_labelnames", ())
                name = f"{family.name}_total" if family.type == "counter" else family.name
                yield Description(name, family.type, tuple(labels), family.documentation)


def _row(metric: Description) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.words} |\n"
