"""Prometheus text over HTTP, for services that have no HTTP server of their own."""

from __future__ import annotations

from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server


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


def serve_metrics(port: int, registry: CollectorRegistry = REGISTRY, host: str = "127.0.0.1") -> MetricsServer | None:
    """Serve a registry's metrics.

    Args:
        port: Where; 0: any free port; -1: not at all.
        registry: What.
        host: On which address.

    Returns:
        The exporter, or None for port -1.
    """
    if port < 0:
        return None
    return MetricsServer(*start_http_server(port, addr=host, registry=registry))
