"""Plots of the figures: what the table says, and nothing without a table."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from scripts import figures
from scripts.environment import SetupError

TABLE = """
| members | under way | Tidewire | other & co | goal |
|---|---|---|---|---|
| 1 | one | 720 | 12,700 | |
| 1,000 | one | 57,000 (55,800 to 59,500) | 43,600 | 1.1 times, not met |
| 1 | sixteen | 3,800 | 174,500 | |
"""


def test_a_plot_for_each_number_of_messages_under_way() -> None:
    made = figures.plots(TABLE)
    assert made.keys() == {"fanout-one", "fanout-sixteen"}
    assert made["fanout-one"].servers == ("Tidewire", "other & co")
    assert made["fanout-one"].values == {"1": (720.0, 12700.0), "1,000": (57000.0, 43600.0)}


def test_bars_grow_by_powers_of_ten() -> None:
    picture = figures.svg(figures.plots(TABLE)["fanout-one"])
    root = ElementTree.fromstring(picture)
    assert root.tag.endswith("svg")
    widths = [float(width) for width in re.findall(r'width="([\d.]+)" height="12" fill="#(?:0b6e99|b8c4cc)"', picture)]
    bars = [width for width in widths if width != 12]
    assert len(bars) == 4
    assert bars[0] < bars[1] < bars[3] < bars[2]
    assert "57,000" in picture
    assert "other &amp; co" in picture


def test_a_page_without_the_table_is_said() -> None:
    with pytest.raises(SetupError, match="no table"):
        figures.plots("| members | other |\n")
