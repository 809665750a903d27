"""Prometheus text, liveness and readiness over HTTP, for services that have no HTTP server of their own, and plain numbers that
metrics are made of.

The counters of the client library take a lock each time. A `Tally` and a `Spread` are written by one thread only, and read
when the metrics are scraped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from threading import Thread
from typing import Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from service_runtime.listening import PortTakenError

SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
"""Bounds of buckets for what takes from a tenth of a millisecond to seconds."""

_OK: Final = "200 OK"
_NOT_READY: Final = "503 Service Unavailable"
_JSON: Final = [("Content-Type", "application/json")]


class Tally(Collector):
    """Counts up, without a lock: for one thread.

    Args:
        name: The metric, without `_total`.
        text: What it counts.
        registry: Where it is registered.
    """

    def __init__(self, name: str, text: str, registry: CollectorRegistry) -> None:
        self._name = name
        self._text = text
        self.value = 0
        registry.register(self)

    def inc(self, count: int = 1) -> None:
        """Count more."""
        self.value += count

    def collect(self) -> Iterator[Metric]:
        """Yield the metric."""
        yield CounterMetricFamily(self._name, self._text, value=self.value)


class Distribution:
    """How often values came into which bucket: what a histogram is made of.

    Args:
        bounds: Upper bounds of the buckets, ascending; one without a bound is added.
    """

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value in."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return the buckets as Prometheus has them: each with all that is in those before it."""
        return cumulative(self._bounds, self._counts)


def cumulative(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Return buckets as Prometheus has them.

    Args:
        bounds: Their upper bounds, ascending.
        counts: What is in each of them, and at the end what is in none.
    """
    names = [*(str(float(bound)) for bound in bounds), "+Inf"]
    return list(zip(names, accumulate(counts), strict=True))


class Spread(Collector):
    """A histogram without a lock: for one thread.

    Args:
        name: The metric.
        text: What is observed.
        bounds: Upper bounds of the buckets, ascending; one without a bound is added.
        registry: Where it is registered.
    """

    def __init__(self, name: str, text: str, bounds: Sequence[float], registry: CollectorRegistry) -> None:
        self._name = name
        self._text = text
        self._values = Distribution(bounds)
        self.observe = self._values.observe
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric."""
        values = self._values
        yield HistogramMetricFamily(self._name, self._text, buckets=values.buckets(), sum_value=values.sum)


class MetricsServer:
    """A running exporter.

    Args:
        server: The HTTP server.
        thread: The thread it runs in.
    """

    def __init__(self, server: WSGIServer, thread: Thread) -> None:
        self._server = server
        self._thread = thread
        self.port = int(server.server_port)

    def stop(self) -> None:
        """End the exporter and free its port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve_metrics(
    port: int, serving: Callable[[], bool], registry: CollectorRegistry = REGISTRY, host: str = "127.0.0.1"
) -> MetricsServer | None:
    """Serve `/metrics`, `/health` (the process lives) and `/ready` (it can do its work).

    Args:
        port: Where; 0: any free port; -1: not at all.
        serving: Whether the service is ready; asked by another thread.
        registry: The metrics.
        host: On which address.

    Returns:
        The exporter, or None for port -1.

    Raises:
        PortTakenError: It cannot listen there.
    """
    if port < 0:
        return None
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError:
        raise PortTakenError(host, port) from None
    exporter = server.get_app()
    assert exporter is not None
    server.set_app(_with_health(exporter, serving))
    server.RequestHandlerClass = _Discreet
    return MetricsServer(server, thread)


class _Discreet(WSGIRequestHandler):
    """Logs no requests, and quotes none that it cannot read: it may hold a key."""

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with what the code means, and without the message."""
        super().send_error(code)


def _with_health(exporter: WSGIApplication, serving: Callable[[], bool]) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path not in ("/health", "/ready"):
            return exporter(environ, start_response)
        well = path == "/health" or serving()
        start_response(_OK if well else _NOT_READY, list(_JSON))  # wsgiref adds to the list
        words = "ok" if path == "/health" else "ready" if well else "not ready"
        return [b'{"status": "%s"}' % words.encode()]

    return answer
