"""Prometheus text over HTTP."""

import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from service_runtime.listening import PortTakenError
from service_runtime.metrics import Spread, Tally, serve_metrics
from service_runtime.probe import UNWELL, WELL, WRONG_USE, main, probe


def test_a_registry_is_served_until_it_is_stopped() -> None:
    registry = CollectorRegistry()
    Counter("demo_things", "Things", registry=registry).inc(3)
    server = serve_metrics(0, lambda: True, registry)
    assert server is not None
    url = f"http://127.0.0.1:{server.port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as response:
        assert "demo_things_total 3.0" in response.read().decode()
    server.stop()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=10)


def test_health_and_readiness_are_told_beside_the_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    serving = False
    server = serve_metrics(0, lambda: serving, CollectorRegistry())
    assert server is not None
    url = f"http://127.0.0.1:{server.port}"
    try:
        assert probe(f"{url}/health") is None
        assert probe(f"{url}/ready") == '503 {"status": "not ready"}'
        assert main([f"{url}/ready"]) == UNWELL
        serving = True
        assert probe(f"{url}/ready") is None
        assert main([f"{url}/ready"]) == WELL
    finally:
        server.stop()
    assert (probe(f"{url}/ready") or "").startswith("no answer")
    assert "503" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["https://127.0.0.1/ready"], ["http://"], ["http://[::1/"]])
def test_a_probe_that_is_used_wrongly_says_how(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == WRONG_USE
    assert "usage" in capsys.readouterr().err


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"cannot listen on 127.0.0.1:{port}"):
            serve_metrics(port, lambda: True)


def test_what_is_no_http_is_not_quoted() -> None:
    server = serve_metrics(0, lambda: True, CollectorRegistry())
    assert server is not None
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(b"GET /?key=canary HTTP/9.x\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
    finally:
        server.stop()
    assert b"400" in answer
    assert b"canary" not in answer


def test_no_port_no_server() -> None:
    assert serve_metrics(-1, lambda: True, CollectorRegistry()) is None


def test_a_tally_counts_up() -> None:
    registry = CollectorRegistry()
    tally = Tally("demo_things", "Things", registry)
    tally.inc()
    tally.inc(4)
    assert tally.value == 5
    assert registry.get_sample_value("demo_things_total") == 5


def test_a_spread_is_the_histogram_that_the_library_would_have_made() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    bounds = (0.25, 1, 16)
    spread = Spread("demo_seconds", "Seconds", bounds, ours)
    histogram = Histogram("demo_seconds", "Seconds", buckets=bounds, registry=theirs)
    for value in (0, 0.25, 0.3, 1, 16, 17, 400):
        spread.observe(value)
        histogram.observe(value)
    assert samples(ours) == samples(theirs)


def samples(registry: CollectorRegistry) -> list[str]:
    """Return the lines of a scrape but for the time at which a metric was made."""
    lines = generate_latest(registry).decode().splitlines()
    return sorted(line for line in lines if "_created" not in line)
