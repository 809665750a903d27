"""What `tidewire load` refuses before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.tidewire_client.peers import unused_target
from tidewire_client.cli.failures import ExitCode, UsageProblem
from tidewire_client.cli.load_options import default_workers, positive_seconds, seconds
from tidewire_client.cli.main import run
from tidewire_client.load import usage
from tidewire_client.load.scenarios.base import Limits, check_publisher

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["echoes"], "No such command 'echoes'"),
        (["echo", "--clients", "0"], "--clients"),
        (["echo", "--size", "10"], "--size"),
        (["echo", "--rate", "0"], "--rate"),
        (["echo", "--duration", "soon"], "--duration: 'soon' is no length of time: 30, 0.5, 45s, 10m or 1h30m is"),
        (["echo", "--duration", "0"], "--duration: must be more than 0 seconds"),
        (["echo", "--warm-up", "-1"], "--warm-up: '-1' is no length of time"),
        (["echo", "--workers", "65"], "--workers"),
        (["echo", "--name", "a b"], "--name: 'a b' is not 1 to 24 of"),
        (["echo", "--url", "edge:8000"], "--url: 'edge:8000' is no address of an edge"),
        (["echo", "--url", "https://edge.example"], "TIDEWIRE_API_KEY"),
        (["echo", "--url", "https://ann:secret@edge.example"], "--url: names a user"),
        (["echo", "--metrics", "edge"], "--metrics: edge: names no port"),
        (["echo", "--fail-if", "p99_ms"], "--fail-if: 'p99_ms' is no threshold: NAME>NUMBER is"),
        (["echo", "--fail-if", "storm_s>1"], "storm_s is no figure of this scenario; there are connected"),
        (["echo", "--compare", "/nowhere/old.json"], "--compare: /nowhere/old.json cannot be read"),
        (["echo", "--html", "/nowhere/x.html"], "--html: /nowhere/x.html cannot be written"),
        (["echo", "--json", "/"], "--json: / cannot be written"),
        (["echo", "--json", "x", "--html", "x"], "--html and --json name the same file"),
        (["echo", "--tls-ca-file", "/nowhere/ca.pem"], "--tls-ca-file: /nowhere/ca.pem cannot be used: No such file"),
        (["fanout", "--members", "2", "--publishers", "3"], "--publishers: 3 of 2 members cannot send"),
        (["soak", "--duration", "10", "--warm-up", "10"], "--warm-up: 10 is not shorter than --duration 10"),
    ],
)
def test_wrong_usage_says_what_is_right(capsys: Captured, arguments: list[str], words: str) -> None:
    assert run(["load", *arguments]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert words in " ".join(err.split())


def test_a_file_of_another_kind_is_no_certificate(capsys: Captured, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    assert run(["load", "echo", "--tls-ca-file", str(file)]) == ExitCode.USAGE
    assert "cannot be used" in capsys.readouterr().err


def test_more_connections_than_descriptors_are_refused(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "most_connections", lambda: 400)
    assert run(["load", "idle", "--clients", "1000", "--workers", "2"]) == ExitCode.USAGE
    words = " ".join(capsys.readouterr().err.split())
    assert (
        "1000 clients in 2 load processes are 500 in each, and the system lets one have 400: use more --workers"
        in words
    )


def test_an_edge_that_is_away_is_told_before_anything_is_started(capsys: Captured) -> None:
    with unused_target() as target:
        assert run(["load", "echo", "--url", f"http://{target}", "--json", "x.json"]) == ExitCode.UNAVAILABLE
    assert "nothing can be reached at" in capsys.readouterr().err
    assert not Path("x.json").exists()


@pytest.mark.parametrize(
    ("text", "expected"), [("30", 30.0), ("0.5", 0.5), ("45s", 45.0), ("1h30m", 5400.0), ("0", 0.0)]
)
def test_lengths_of_time(text: str, expected: float) -> None:
    assert seconds("--hold", text) == expected


@pytest.mark.parametrize("text", ["", "1e3", "inf", "nan", "-1", "1.", "5x"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(UsageProblem, match="--hold"):
        positive_seconds("--hold", text)


def test_load_processes_are_few() -> None:
    assert 1 <= default_workers() <= 4


def test_limits_of_the_edge() -> None:
    data = {"limits": {"frames_per_second": 200, "bytes_per_second": 0, "max_message_bytes": 1000}}
    assert Limits.of(data) == Limits(200, None, 1000)
    assert Limits.of({}) == Limits()
    check_publisher(Limits.of(data), 200, 900, "send less")
    check_publisher(Limits(), 1e6, 1_000_000, "send less")
    with pytest.raises(ValueError, match="would send 201 messages a second, and the edge takes 200 of it: send less"):
        check_publisher(Limits.of(data), 201, 100, "send less")
    with pytest.raises(ValueError, match="--size 990: the edge takes messages of up to 1000 bytes"):
        check_publisher(Limits.of(data), 1, 990, "send less")
    with pytest.raises(ValueError, match="100000 bytes a second, and the edge takes 99999"):
        check_publisher(Limits(bytes_per_second=99_999), 100, 800, "send less")
