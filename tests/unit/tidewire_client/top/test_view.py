"""Figures as a table."""

from __future__ import annotations

import pytest

from tidewire_client.top.figures import Figures, Times
from tidewire_client.top.view import blocks, milliseconds, number
from tidewire_client.top.watch import Seen


def seen(port: int, **figures: float) -> Seen:
    return Seen(f"http://127.0.0.1:{port}/metrics", Figures("edge", True, flush=Times(0.25, 1500.0), **figures))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0"),
        (7.0, "7"),
        (7.46, "7.5"),
        (120.4, "120"),
        (9999.0, "9999"),
        (12_345.0, "12.3k"),
        (123_456.0, "123k"),
        (4_560_000.0, "4.56M"),
        (7_200_000_000.0, "7.20G"),
    ],
)
def test_a_number_is_short(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.25, "0.25 ms"), (12.4, "12 ms"), (999.0, "999 ms"), (1500.0, "1.50 s")]
)
def test_a_time_has_its_unit(value: float | None, text: str) -> None:
    assert milliseconds(value) == text


def test_a_process_is_a_column() -> None:
    ((heading, lines),) = blocks([seen(1, connections=12.0), seen(2)])
    assert heading == ["", "edge 127.0.0.1:1", "edge 127.0.0.1:2"]
    assert ["state", "ready", "ready"] in lines
    assert ["connections", "12", "-"] in lines
    assert ["flush p50/p99", "0.25 ms / 1.50 s", "0.25 ms / 1.50 s"] in lines


def test_of_what_is_away_it_is_told_why() -> None:
    ((heading, lines),) = blocks([Seen("http://edge/metrics", None, "cannot be reached")])
    assert heading == ["", "edge"]
    assert lines[0] == ["state", "cannot be reached"]
    assert {line[1] for line in lines[1:]} == {"-"}


def test_what_does_not_fit_beside_comes_below() -> None:
    found = list(blocks([seen(n) for n in range(1, 6)], width=60))
    assert [heading[1:] for heading, _ in found] == [
        ["edge 127.0.0.1:1", "edge 127.0.0.1:2"],
        ["edge 127.0.0.1:3", "edge 127.0.0.1:4"],
        ["edge 127.0.0.1:5"],
    ]
    assert len(list(blocks([seen(1)], width=1))) == 1, "one is always shown"


def test_nothing_is_no_table() -> None:
    assert list(blocks([])) == []
