"""Results as one SVG picture: for each figure a bar for each server, with the spread of the rounds as a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from benchmarks.report.machine import Machine
from benchmarks.rounds import Contender, Result
from benchmarks.scenarios.base import Figure

_WIDTH: Final = 820
_NAMES: Final = 190
_BARS: Final = 480
_BAR: Final = 16
_ROW: Final = 22
_HEAD: Final = 34
_FIRST_COLOUR: Final = "#0b6e99"
_OTHER_COLOUR: Final = "#b8c4cc"
_STYLE: Final = "text{font:12px sans-serif;fill:#222}.h{font-weight:bold}.n{fill:#555}line{stroke:#222}"


def write(results: Sequence[Result], machine: Machine, file: Path) -> None:
    """Draw results; what the file had is replaced."""
    parts, height = [], 30
    parts.append(_text(10, 20, f"{machine.words}, medians of {max(r.rounds for r in results)} rounds", "n"))
    for result in results:
        for figure in result.scenario.figures(result.size):
            parts += _figure(result, figure, height)
            height += _HEAD + _ROW * len(result.contenders)
    inner = "\n".join(parts)
    file.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height + 10}">\n<style>{_STYLE}</style>\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{inner}\n</svg>\n'
    )


def _figure(result: Result, figure: Figure, top: int) -> Iterator[str]:
    most = max((value for c in result.contenders for value in c.samples(figure.key)), default=0.0)
    better = "more is better" if figure.more_is_better else "less is better"
    yield _text(10, top + 20, f"{result.scenario.name}: {figure.words}, {figure.unit} ({better})", "h")
    for index, contender in enumerate(result.contenders):
        yield from _bar(contender, figure.key, most, top + _HEAD + index * _ROW, first=index == 0)


def _bar(contender: Contender, key: str, most: float, top: int, *, first: bool) -> Iterator[str]:
    yield _text(20, top + 12, contender.name)
    median, samples = contender.median(key), contender.samples(key)
    if median is None or most <= 0:
        yield _text(_NAMES, top + 12, "no figure: deliveries wrong", "n")
        return
    scale = _BARS / most
    low, high = (_NAMES + value * scale for value in (min(samples), max(samples)))
    middle = top + _BAR / 2
    colour = _FIRST_COLOUR if first else _OTHER_COLOUR
    yield f'<rect x="{_NAMES}" y="{top}" width="{median * scale:.1f}" height="{_BAR}" fill="{colour}"/>'
    yield f'<line x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}"/>'
    words = f"{median:,.0f}" if median >= 100 else f"{median:.2f}"
    yield _text(max(high, _NAMES + median * scale) + 6, top + 12, words)


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y}"{attribute}>{escape(words)}</text>'
