"""Spans by OpenTelemetry, sent in batches over OTLP by a thread of its SDK."""

from __future__ import annotations

import secrets
from typing import Final

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.trace import Span as OpenTelemetrySpan

from service_runtime.tracing.traceparent import TraceParent
from service_runtime.tracing.work import Attribute, Kind

PREFIX: Final = "tidewire."
MAX_WAITING: Final = 2048
BATCH_SPANS: Final = 512
INTERVAL_MS: Final = 1000
EXPORT_TIMEOUT_S: Final = 3
_KINDS: Final = {
    Kind.SERVER: SpanKind.SERVER,
    Kind.CLIENT: SpanKind.CLIENT,
    Kind.PRODUCER: SpanKind.PRODUCER,
    Kind.CONSUMER: SpanKind.CONSUMER,
    Kind.INTERNAL: SpanKind.INTERNAL,
}


class OtelSpan:
    """Implements `work.Span`.

    Args:
        span: Of OpenTelemetry; it was begun.
    """

    __slots__ = ("_ended", "_span", "parent")

    def __init__(self, span: OpenTelemetrySpan) -> None:
        context = span.get_span_context()
        self._span = span
        self._ended = False
        self.parent = TraceParent(format_trace_id(context.trace_id), format_span_id(context.span_id), True)

    def note(self, **attributes: Attribute) -> None:
        """Add attributes."""
        for name, value in attributes.items():
            self._span.set_attribute(PREFIX + name, value)

    def end(self, error: str = "") -> None:
        """End it, as failed if there is an error. Idempotent."""
        if self._ended:
            return
        self._ended = True
        if error:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end()


class OtelTracer:
    """Implements `work.Tracer`. What is sampled was decided before: all that is begun here is recorded.

    Args:
        service: Which service of ours.
        endpoint: Of the collector's OTLP over gRPC: `http://host:4317`, or `https://` for TLS.
    """

    def __init__(self, service: str, endpoint: str) -> None:
        resource = Resource.create({SERVICE_NAME: f"tidewire-{service}", SERVICE_INSTANCE_ID: secrets.token_hex(8)})
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(
            endpoint=endpoint, insecure=not endpoint.startswith("https:"), timeout=EXPORT_TIMEOUT_S
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=MAX_WAITING,
                max_export_batch_size=BATCH_SPANS,
                schedule_delay_millis=INTERVAL_MS,
                export_timeout_millis=EXPORT_TIMEOUT_S * 1000,
            )
        )
        self._tracer = self._provider.get_tracer("tidewire")

    def start(self, name: str, kind: Kind, parent: TraceParent | None, **attributes: Attribute) -> OtelSpan:
        """Begin a span."""
        context = None if parent is None else set_span_in_context(NonRecordingSpan(_context_of(parent)))
        noted = {PREFIX + attribute: value for attribute, value in attributes.items()}
        return OtelSpan(self._tracer.start_span(name, context=context, kind=_KINDS[kind], attributes=noted))

    def close(self) -> None:
        """Send away what has ended, within the timeout of an export, and end. Blocks."""
        self._provider.shutdown()


def _context_of(parent: TraceParent) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
