"""What a result means."""

from __future__ import annotations

import json

import pytest

from tests.unit.tidewire_client.load.results import client, result
from tidewire_client.cli.failures import ExitCode
from tidewire_client.cli.load_run import exit_code
from tidewire_client.load.result import Result


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (result(), ExitCode.OK),
        (result(clients=[client(0), client(1, received=14, missing=1)]), ExitCode.MESSAGES_WRONG),
        (result(clients=[client(0, duplicated=1)]), ExitCode.MESSAGES_WRONG),
        (result(clients=[client(0, out_of_order=1)]), ExitCode.MESSAGES_WRONG),
        (result(figures={"unanswered": 1}), ExitCode.MESSAGES_WRONG),
        (result(confirmed_twice=1), ExitCode.MESSAGES_WRONG),
        (result(interrupted=True, broken=["p99_ms>1: it is 2"]), ExitCode.INTERRUPTED),
        (result(interrupted=True, clients=[client(0, missing=1)]), ExitCode.MESSAGES_WRONG),
        (result(figures={"failed": 3}), ExitCode.FAILED),
        (result(broken=["p99_ms>1: it is 2"]), ExitCode.THRESHOLD),
    ],
)
def test_exit_codes(found: Result, code: ExitCode) -> None:
    assert exit_code(found) is code


def test_the_file_holds_every_client_and_every_figure() -> None:
    record = json.loads(json.dumps(result(clients=[client(0), client(1, received=14, missing=1)]).record()))
    assert (record["tidewire_load"], record["scenario"], record["right"]) == (1, "echo", False)
    assert [each["missing"] for each in record["clients"]] == [0, 1]
    assert record["clients"][1]["client_id"] == "load-0a1b2c3d-1"
    assert record["figures"]["p99_ms"] == 4.25
    assert record["figures"]["p50_ms"] is None
    latency = record["histograms"]["latency"]
    assert (latency["count"], latency["quantiles_ms"]["1"]) == (4, 50.0)
    assert sum(count for _, count in latency["buckets_us"]) == 4
    assert len(record["timeline"]) == 8


def test_the_worst_client_comes_first() -> None:
    found = result(clients=[client(0, missing=1), client(1), client(2, missing=9), client(3, duplicated=2)])
    assert [each.client_id[-1] for each in found.faulty] == ["2", "0", "3"]
