"""Tracing as a service has it: what is sampled, and where the spans go; there only when a ratio is set."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service_runtime.settings import ServiceSettings, SettingsError, variable
from service_runtime.tracing.sampling import Sampler
from service_runtime.tracing.traceparent import TraceParent
from service_runtime.tracing.work import Attribute, Kind, Tracer, Work

LEFT_OUT: Final = "Frames and calls that were to be traced, beyond the bound of those that are begun in a second"


@dataclass(frozen=True, slots=True)
class Tracing:
    """What traces.

    Attributes:
        sampler: Decides what is traced.
        tracer: Makes spans.
        close: Sends away what has ended, and ends.
    """

    sampler: Sampler
    tracer: Tracer
    close: Callable[[], None]

    def begin(self, name: str, kind: Kind, parent: TraceParent | None, **attributes: Attribute) -> Work:
        """Begin work that the sampler wants."""
        return Work(self.tracer, self.tracer.start(name, kind, parent, **attributes))


def ticks_outside_work(loop: asyncio.AbstractEventLoop) -> Callable[..., object]:
    """Return the loop's `call_soon` for what is done for all: it does not belong to the work during which it was asked for."""
    return functools.partial(loop.call_soon, context=contextvars.Context())


def open_tracing(service: str, settings: ServiceSettings, left_out: Callable[[], None]) -> Tracing | None:
    """Return what traces; None unless the settings give a ratio.

    Args:
        service: Named in every span's resource, as `tidewire-<service>`.
        settings: The ratio, the bound, and where spans go.
        left_out: Told of each piece of work that is beyond the bound.

    Raises:
        SettingsError: The extra `otel` is not installed.
    """
    if settings.trace_ratio <= 0:
        return None
    try:
        # Not at the top: OpenTelemetry is an extra.
        from service_runtime.tracing.otel import OtelTracer
    except ImportError as missing:
        name = variable(type(settings), "trace_ratio")
        raise SettingsError(f"{name}: traces need OpenTelemetry ({missing}): pip install 'tidewire[otel]'") from None
    tracer = OtelTracer(service, settings.trace_endpoint)
    sampler = Sampler(
        settings.trace_ratio,
        settings.trace_max_per_second,
        random=random.random,
        monotonic=time.monotonic,
        left_out=left_out,
    )
    return Tracing(sampler, tracer, tracer.close)
