"""Plots of the figures, docs/figures/*.svg: made from the table of docs/benchmarks-message-path.md, so that they agree."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from scripts.environment import ROOT, SetupError

PAGE: Final = ROOT / "docs" / "benchmarks-message-path.md"
FOLDER: Final = ROOT / "docs" / "figures"
# Stands for all of them where one file is named.
FILE: Final = FOLDER / "fanout-one.svg"
_TABLE: Final = re.compile(
    r"^\| members \| under way \| (?P<servers>.+?) \|(?: goal \|)?\n\|[-|]+\|\n(?P<rows>(?:\|.*\n)+)", re.MULTILINE
)
_WIDTH: Final = 820
_LEFT: Final = 190
_BARS: Final = 540
_BAR: Final = 14
_GAP: Final = 12
_COLOURS: Final = ("#0b6e99", "#b8c4cc", "#8a99a3", "#5d6d78")
_STYLE: Final = "text{font:12px sans-serif;fill:#222}.h{font-weight:bold}.n{fill:#555}line{stroke:#ccc}"


@dataclass(frozen=True)
class Plot:
    """Deliveries a CPU second of several servers, for each number of members."""

    title: str
    servers: tuple[str, ...]
    values: Mapping[str, tuple[float, ...]]


def plots(page: str) -> Mapping[str, Plot]:
    """Read the table of the page: a plot for one message under way, and one for sixteen.

    Raises:
        SetupError: the page has no such table.
    """
    found = _TABLE.search(page)
    if found is None:
        raise SetupError(f"{PAGE.name} has no table of deliveries by members")
    servers = tuple(found["servers"].split(" | "))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found["rows"].splitlines()]
    made = {}
    for under_way in dict.fromkeys(row[1] for row in rows):
        values = {
            row[0]: tuple(_number(cell) for cell in row[2 : 2 + len(servers)]) for row in rows if row[1] == under_way
        }
        made[f"fanout-{under_way}"] = Plot(f"Deliveries a CPU second, {under_way} under way", servers, values)
    return made


def render() -> Mapping[Path, str]:
    """Return the text of each file.

    Raises:
        SetupError: the page has no such table.
    """
    return {FOLDER / f"{name}.svg": svg(plot) for name, plot in plots(PAGE.read_text()).items()}


def is_fresh() -> bool:
    """Whether the plots are what the page says."""
    return all(file.exists() and file.read_text() == text for file, text in render().items())


def write() -> None:
    """Write the plots."""
    FOLDER.mkdir(exist_ok=True)
    for file, text in render().items():
        file.write_text(text)


def svg(plot: Plot) -> str:
    """Return a picture with a bar for each server and number of members, on a scale of powers of ten."""
    lowest, highest = _bounds(plot)
    group = len(plot.servers) * _BAR + _GAP
    height = 70 + group * len(plot.values)
    parts = [_text(10, 20, f"{plot.title} (more is better; each line is ten times the one before)", "h")]
    parts += [_legend(number, name) for number, name in enumerate(plot.servers)]
    for power in range(lowest, highest + 1):
        x = _x(10.0**power, lowest, highest)
        parts.append(f'<line x1="{x:.1f}" y1="52" x2="{x:.1f}" y2="{height - 12}"/>')
        parts.append(_text(x + 2, height - 2, f"{10**power:,}", "n"))
    for row, (members, values) in enumerate(plot.values.items()):
        parts += _group(members, values, 56 + row * group, lowest, highest)
    inner = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height + 6}" viewBox="0 0 {_WIDTH} {height + 6}">\n'
        f'<style>{_STYLE}</style>\n<rect width="100%" height="100%" fill="white"/>\n{inner}\n</svg>\n'
    )


def _group(members: str, values: Sequence[float], top: int, lowest: int, highest: int) -> Iterator[str]:
    yield _text(10, top + _BAR, f"{members} member{'' if members == '1' else 's'}")
    for number, value in enumerate(values):
        y, end = top + number * _BAR, _x(value, lowest, highest)
        yield f'<rect x="{_LEFT}" y="{y}" width="{end - _LEFT:.1f}" height="{_BAR - 2}" fill="{_colour(number)}"/>'
        yield _text(end + 5, y + _BAR - 4, f"{value:,.0f}", "n")


def _legend(number: int, name: str) -> str:
    x = _LEFT + number * 190
    return f'<rect x="{x}" y="32" width="12" height="12" fill="{_colour(number)}"/>' + _text(x + 18, 42, name)


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _bounds(plot: Plot) -> tuple[int, int]:
    every = [value for values in plot.values.values() for value in values]
    return math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))


def _x(value: float, lowest: int, highest: int) -> float:
    return _LEFT + _BARS * (math.log10(value) - lowest) / (highest - lowest)


def _number(cell: str) -> float:
    """Return the median of a cell such as `57,000 (55,800 to 59,500)`."""
    return float(cell.split(" (")[0].replace(",", ""))


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y}"{attribute}>{escape(words)}</text>'
