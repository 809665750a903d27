"""Bounds for figures."""

from __future__ import annotations

import pytest

from tidewire_client.load.thresholds import Threshold, broken

FIGURES = ["p99_ms", "missing"]


@pytest.mark.parametrize(
    ("text", "value", "breaks"),
    [
        ("p99_ms>20", 20.1, True),
        ("p99_ms>20", 20.0, False),
        ("p99_ms>=20", 20.0, True),
        (" p99_ms < 1.5e3 ", 1499.0, True),
        ("p99_ms<=20", 20.1, False),
        ("missing!=0", 0.0, False),
        ("missing!=0", 1.0, True),
        ("missing==0", 0.0, True),
        ("p99_ms<-1", 0.0, False),
    ],
)
def test_when_a_bound_is_broken(text: str, value: float, breaks: bool) -> None:
    threshold = Threshold.parse(text, FIGURES)
    assert (threshold.broken_by({threshold.figure: value}) is not None) == breaks


@pytest.mark.parametrize(
    "text", ["p99_ms", "p99_ms>", ">20", "p99_ms>x", "p99_ms=>20", "p99_ms>1.2.3", "p99_ms>20ms", ""]
)
def test_what_is_no_bound_is_told_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        Threshold.parse(text, FIGURES)


def test_a_bound_of_a_figure_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(ValueError, match="p98_ms is no figure of this scenario; there are p99_ms missing"):
        Threshold.parse("p98_ms>1", FIGURES)


def test_a_figure_that_was_not_measured_breaks_its_bound() -> None:
    threshold = Threshold.parse("p99_ms>20", FIGURES)
    assert threshold.broken_by({}) == "p99_ms>20: p99_ms was not measured"
    assert threshold.broken_by({"p99_ms": None}) is not None


def test_all_that_are_broken_are_told() -> None:
    bounds = [Threshold.parse(text, FIGURES) for text in ("p99_ms>20", "missing>0", "p99_ms>50")]
    assert broken(bounds, {"p99_ms": 31.5, "missing": 2.0}) == ["p99_ms>20: it is 31.5", "missing>0: it is 2"]
