"""A collector of traces: a real gRPC server with OTLP's TraceService, which keeps what comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.support.waiting import wait_until


@dataclass(frozen=True)
class Collected:
    """A span that came."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    attributes: Mapping[str, Any]
    raw: bytes


class TraceCollector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps spans."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._spans: list[Collected] = []
        self.endpoint = ""

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        with self._lock:
            self._spans += _spans(request)
        return trace_service_pb2.ExportTraceServiceResponse()

    @property
    def spans(self) -> list[Collected]:
        with self._lock:
            return list(self._spans)

    def of_trace(self, trace_id: str) -> list[Collected]:
        return [span for span in self.spans if span.trace_id == trace_id]

    def find(self, trace_id: str, name: str, **attributes: Any) -> Collected:
        """Return the first span of a trace with this name and these attributes, when it has come."""

        def found() -> list[Collected]:
            return [
                span
                for span in self.of_trace(trace_id)
                if span.name == name
                and all(span.attributes.get(f"tidewire.{key}") == value for key, value in attributes.items())
            ]

        try:
            wait_until(found, what=f"the span {name} comes")
        except AssertionError as late:
            raise AssertionError(f"{late}; there are {sorted(span.name for span in self.of_trace(trace_id))}") from None
        return found()[0]


@contextmanager
def collecting() -> Iterator[TraceCollector]:
    """Run a collector."""
    collector = TraceCollector()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    collector.endpoint = f"http://127.0.0.1:{port}"
    try:
        yield collector
    finally:
        server.stop(None).wait()


def _spans(request: Any) -> Iterator[Collected]:
    for of_resource in request.resource_spans:
        resource = _values(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield Collected(
                    resource["service.name"],
                    span.name,
                    trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
                    _values(span.attributes),
                    span.SerializeToString(),
                )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
