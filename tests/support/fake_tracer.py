"""A tracer that keeps its spans, for unit tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from service_runtime.tracing.sampling import Sampler
from service_runtime.tracing.traceparent import TraceParent
from service_runtime.tracing.tracing import Tracing
from service_runtime.tracing.work import Attribute, Kind


@dataclass(eq=False)
class FakeSpan:
    """Implements `work.Span`."""

    name: str
    kind: Kind
    under: TraceParent | None
    parent: TraceParent
    attributes: dict[str, Attribute]
    ends: list[str] = field(default_factory=list)

    def note(self, **attributes: Attribute) -> None:
        self.attributes |= attributes

    def end(self, error: str = "") -> None:
        if not self.ends:
            self.ends.append(error)


class FakeTracer:
    """Implements `work.Tracer`."""

    def __init__(self) -> None:
        self.spans: list[FakeSpan] = []

    def start(self, name: str, kind: Kind, parent: TraceParent | None, **attributes: Attribute) -> FakeSpan:
        number = len(self.spans) + 1
        trace_id = f"{number:032x}" if parent is None else parent.trace_id
        span = FakeSpan(name, kind, parent, TraceParent(trace_id, f"{number:016x}", True), attributes)
        self.spans.append(span)
        return span

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    def open(self) -> list[str]:
        """Return the names of those that have not ended."""
        return [span.name for span in self.spans if not span.ends]

    def one(self, name: str) -> FakeSpan:
        """Return the span of this name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found


def fake_tracing(tracer: FakeTracer, ratio: float = 1.0, max_per_second: int = 1000) -> Tracing:
    """Return what traces; a draw is always 0.5."""
    sampler = Sampler(ratio, max_per_second, random=lambda: 0.5, monotonic=lambda: 0.0, left_out=lambda: None)
    return Tracing(sampler, tracer, lambda: None)
