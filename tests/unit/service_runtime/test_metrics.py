"""Prometheus text over HTTP."""

import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter

from service_runtime.metrics import serve_metrics


def test_a_registry_is_served_until_it_is_stopped() -> None:
    registry = CollectorRegistry()
    Counter("demo_things", "Things", registry=registry).inc(3)
    server = serve_metrics(0, registry)
    assert server is not None
    url = f"http://127.0.0.1:{server.port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as response:
        assert "demo_things_total 3.0" in response.read().decode()
    server.stop()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=10)


def test_no_port_no_server() -> None:
    assert serve_metrics(-1, CollectorRegistry()) is None
