"""Figures stand in one place; what other pages say of them is the same, and what is worked out of them is right."""

from __future__ import annotations

import re

import pytest

from tests.support.processes import ROOT

SOURCES = ("docs/benchmarks-message-path.md", "docs/performance.md", "docs/benchmarks.md")
SUM = re.compile(r"([\d,.]+) ([/×]) ([\d,.]+) = ([\d,.]+)")
NUMBER = re.compile(r"(?<![\w.,/-])\d+(?:,\d{3})*(?:\.\d+)?(?![\w-])")


def measured() -> set[str]:
    return {number for page in SOURCES for number in NUMBER.findall((ROOT / page).read_text())}


def value(text: str) -> float:
    return float(text.replace(",", ""))


def test_sums_of_scaling_are_right() -> None:
    sums = SUM.findall((ROOT / "docs/scaling.md").read_text())
    assert len(sums) >= 15
    for left, operator, right, result in sums:
        exact = value(left) / value(right) if operator == "/" else value(left) * value(right)
        places = len(result.partition(".")[2])
        assert abs(exact - value(result)) < 10**-places, f"{left} {operator} {right} is {exact}, not {result}"


def test_what_scaling_divides_was_measured() -> None:
    page = (ROOT / "docs/scaling.md").read_text()
    rows = re.findall(r"^\| .+ \| ([\d,.]+) (?:deliveries|confirmed messages|a) .*?CPU second \|", page, re.MULTILINE)
    assert len(rows) == 7
    assert set(rows) <= measured()
    memory = re.findall(r"^\| .+ \| ([\d.]+) \| .+ \| ([\d.]+) \| .+ \|$", page, re.MULTILINE)
    assert len(memory) == 2
    assert {figure for row in memory for figure in row} <= measured()
    shares = re.findall(r"(\d[\d.]*) (?:of (\d[\d.]*) )?us", page)
    assert {figure for row in shares for figure in row if figure} <= measured()


@pytest.mark.parametrize("page", ["docs/comparison.md"])
def test_figures_that_another_page_repeats_are_those_that_were_measured(page: str) -> None:
    text = re.sub(r"\]\([^)]*\)", "]", (ROOT / page).read_text())
    thousands = {number for number in NUMBER.findall(text) if "," in number or "." in number}
    assert thousands - measured() == set()
