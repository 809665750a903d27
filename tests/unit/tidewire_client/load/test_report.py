"""Reports: in a terminal, and as one file."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from tests.unit.tidewire_client.load.results import client, result, times
from tidewire_client.load.figures import MESSAGES, named
from tidewire_client.load.report.html import page
from tidewire_client.load.report.svg import Series, lines, percentiles
from tidewire_client.load.report.terminal import report_lines
from tidewire_client.load.report.words import number_words, ratio_words, sparkline, value_words
from tidewire_client.load.result import Compared, Result

P99 = named(MESSAGES)["p99_ms"]
BAD = result(
    clients=[client(0), *(client(n, received=14, missing=1) for n in range(1, 13))],
    reasons={"refused: rate_limited": 7},
    warnings=["A load process used 99 % of a core."],
    notes=["Of the clients that stopped to read: 5 closed with 1013."],
    broken=["p99_ms>1: it is 4.25"],
    compared=[Compared(P99, 8.5, 4.25, 0.5)],
    interrupted=True,
)


def text_of(found: Result) -> str:
    return "\n".join("".join(text for text, _ in line) for line in report_lines(found))


def test_a_good_run_in_a_terminal() -> None:
    text = text_of(result())
    assert text.startswith("tidewire load echo  http://edge.example:8000  31.4 s")
    assert re.search(
        r"^p99_ms +4\.25 ms  from when a message was due to its delivery: 99 % took no longer$", text, re.M
    )
    assert re.search(r"^p99 in ms +▁▂▃▄▅▆▇█  up to 8$", text, re.M)
    assert text.splitlines()[-1] == "Each of 2 clients got each message once and in order: 30 in all."


def test_a_bad_run_in_a_terminal() -> None:
    text = text_of(BAD)
    assert text.splitlines()[-1].startswith("12 of 13 clients did not get each message once and in order: 12 missing")
    assert re.search(r"^load-0a1b2c3d-1 +15 +14 +1 +0 +0$", text, re.M)
    assert "and 2 more" in text
    assert "ended early" in text
    assert "       7  refused: rate_limited" in text
    assert "warning: A load process used 99 % of a core." in text
    assert "threshold broken: p99_ms>1: it is 4.25" in text
    assert re.search(r"^p99_ms +8\.5 ms +4\.25 ms +0\.50x  better$", text, re.M)


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("found", [result(), BAD, result(clients=[], timeline=[], histograms={}, marks=[])])
def test_a_page_needs_nothing_from_elsewhere(found: Result) -> None:
    html = page(found)
    parsed = Page(html)
    assert parsed.references == []
    assert not {"script", "link", "img", "iframe"} & set(parsed.tags)
    assert "url(" not in html
    assert "@import" not in html


def test_a_page_has_plots_figures_and_faults() -> None:
    html = page(BAD)
    plots = re.findall(r"<svg.*?</svg>", html)
    assert len(plots) == 5
    for plot in plots:
        assert ElementTree.fromstring(plot).findall("polyline")
    text = Page(html).text
    for words in ("4.25 ms", "load-0a1b2c3d-1", "refused: rate_limited", "99 % of a core", "1013", "0.50x better"):
        assert words in text


def test_what_others_say_is_no_markup() -> None:
    html = page(result(reasons={"<script>alert(1)</script>": 1}, notes=["a<b"]))
    assert "<script" not in html
    assert "a&lt;b" in html


def test_a_line_has_a_gap_where_nothing_is_known() -> None:
    plot = lines([Series("x", [(0, 1.0), (1, 2.0), (2, None), (3, 4.0)])], "seconds", [(1.0, "now <>")])
    found = ElementTree.fromstring(plot)
    assert len(found.findall("polyline")) == 2
    assert [mark.findtext("title") for mark in found.findall("line") if mark.get("class") == "m"] == ["now <>"]


def test_nothing_to_draw_is_no_plot() -> None:
    assert lines([Series("x", [(0, None)])], "seconds") == ""


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_percentiles_never_fall(count: int) -> None:
    plot = ElementTree.fromstring(percentiles(times(*range(1, count + 1))))
    (line,) = plot.findall("polyline")
    heights = [float(pair.split(",")[1]) for pair in str(line.get("points")).split()]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize(
    ("values", "line"),
    [([], ""), ([0, 0], "▁▁"), ([1, None, 8], "▁ █"), ([1, 8, 2, 2], "█▂"), ([None, None], "  ")],
)
def test_sparklines(values: list[float | None], line: str) -> None:
    assert sparkline(values, 2 if len(values) == 4 else 10) == line


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0"), (1234567, "1,234,567"), (3.14159, "3.14"), (123.45, "123.5"), (1234.5, "1,234")]
)
def test_numbers(value: float, words: str) -> None:
    assert number_words(value) == words


def test_values_have_units() -> None:
    assert value_words(P99, 12_345.0) == "12.35 s"
    assert value_words(named(MESSAGES)["missing"], 3) == "3"
    assert value_words(named(MESSAGES)["sent_per_s"], 99.5) == "99.5 /s"


def test_ratios_from_nothing() -> None:
    assert ratio_words(Compared(P99, 0, 0, None)) == "same"
    assert ratio_words(Compared(P99, 0, 3, None)) == "from 0"
