"""Sampled work: a span and the spans under it, with its ids on every log line that is written meanwhile.

This module knows nothing of OpenTelemetry, which is there only where it is used (`otel`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import Final, Protocol, TypeAlias

import structlog

from service_runtime.tracing.traceparent import TraceParent

Attribute: TypeAlias = str | int | bool


class Kind(Enum):
    """What a span is to those on both sides of it (OpenTelemetry, SpanKind)."""

    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"
    INTERNAL = "internal"


class Span(Protocol):
    """A piece of work with a beginning and an end. Names ids only: no key, no content, no name that a client chose."""

    @property
    def parent(self) -> TraceParent:
        """The span as the parent of others, here or elsewhere."""

    def note(self, **attributes: Attribute) -> None:
        """Add attributes; their names get `tidewire.` before them."""

    def end(self, error: str = "") -> None:
        """End it, as failed if there is an error: a word of ours. Idempotent."""


class Tracer(Protocol):
    """Makes spans, and sends them away when they have ended."""

    def start(self, name: str, kind: Kind, parent: TraceParent | None, **attributes: Attribute) -> Span:
        """Begin a span.

        Args:
            name: What is done, one of few.
            kind: See `Kind`.
            parent: What it is part of; None: it begins a trace.
            attributes: See `Span.note`.
        """


class Work:
    """A span that ends when all that it began has ended.

    Args:
        tracer: Makes the spans under it.
        span: Its own.
    """

    __slots__ = ("_open", "_tracer", "error", "span")

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._open = 1
        self.span = span
        self.error = ""

    def child(self, name: str, kind: Kind, **attributes: Attribute) -> Span:
        """Begin a span under it."""
        return self._tracer.start(name, kind, self.span.parent, **attributes)

    def hold(self) -> None:
        """Note that something more is under way, which `done` will end."""
        self._open += 1

    def done(self) -> None:
        """Note that something has ended; with the last the span ends."""
        self._open -= 1
        if not self._open:
            self.span.end(self.error)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Be what is worked on: `current_work` returns it, and log lines name it."""
        parent = self.span.parent
        token = _CURRENT.set(self)
        try:
            with structlog.contextvars.bound_contextvars(trace_id=parent.trace_id, span_id=parent.span_id):
                yield
        finally:
            _CURRENT.reset(token)


_CURRENT: Final[ContextVar[Work | None]] = ContextVar("tidewire_work", default=None)


def current_work() -> Work | None:
    """Return the sampled work that is done now; None: what is done is not traced."""
    return _CURRENT.get()


def forget_current_work() -> None:
    """Belong to no work any more: for a task that goes on with what others have asked for."""
    if _CURRENT.get() is not None:
        _CURRENT.set(None)
        structlog.contextvars.unbind_contextvars("trace_id", "span_id")
