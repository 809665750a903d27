"""Plots as SVG, which stand in an HTML file without anything from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from tidewire_client.load.histogram import Histogram
from tidewire_client.load.report.words import number_words

WIDTH: Final = 720
HEIGHT: Final = 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 34
_STEPS: Final = (1.0, 2.0, 5.0, 10.0)
# From the median to 1 in 100,000.
_PARTS: Final = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a plot.

    Attributes:
        words: What it is.
        points: `(x, y)`; y None: a gap.
    """

    words: str
    points: Sequence[tuple[float, float | None]]


def lines(series: Sequence[Series], x_words: str, marks: Sequence[tuple[float, str]] = ()) -> str:
    """Return a plot of lines over the same x.

    Args:
        series: At most four.
        x_words: What x is.
        marks: Places of x that are drawn and named.
    """
    xs = [x for each in series for x, _ in each.points]
    ys = [y for each in series for _, y in each.points if y is not None]
    if not ys:
        return ""
    ticks = _ticks(max(ys))
    frame = _Frame(min(xs), max(xs), ticks[-1])
    parts = [*_grid(frame, ticks), *_x_axis(frame, x_words), *_marks(frame, marks)]
    for number, each in enumerate(series):
        parts += _line(frame, each, number)
    return _svg([*parts, *_legend(series)])


def percentiles(histogram: Histogram) -> str:
    """Return a plot of times by percentile, stretched towards the rarest, as HdrHistogram's are."""
    most = next((n for n, part in enumerate(_PARTS) if histogram.count * (1 - part) < 1), len(_PARTS) - 1)
    last = max(2, most)
    points = []
    for step in range(20 * last + 1):
        place = step / 20
        points.append((place, histogram.quantile_ms(_part(place))))
    top = max(y for _, y in points if y is not None)
    ticks = _ticks(top)
    frame = _Frame(0.0, float(last), ticks[-1])
    parts = list(_grid(frame, ticks))
    for number, part in enumerate(_PARTS[: last + 1]):
        parts.append(_text(frame.x(number), HEIGHT - 16, f"{part * 100:g} %", "end" if number == last else "middle"))
    parts += _line(frame, Series("", points), 0)
    return _svg(parts)


def _part(place: float) -> float:
    """Return the part of all that stands at a place: 0.5 at 1, and from there 9 tenths of the rest at each step."""
    return 0.5 * place if place <= 1 else 1 - 0.5 * 0.2 ** min(1.0, place - 1) * 0.1 ** max(0.0, place - 2)


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values stand in the picture."""

    first: float
    last: float
    top: float

    def x(self, value: float) -> float:
        span = self.last - self.first or 1.0
        return _LEFT + (value - self.first) / span * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - value / (self.top or 1.0) * (HEIGHT - _TOP - _BOTTOM)


def _ticks(top: float) -> list[float]:
    """Return round values from 0 to at least the top, four to six of them."""
    if top <= 0:
        return [0.0, 1.0]
    rough = top / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in _STEPS if size * factor >= rough * 0.999)
    return [step * number for number in range(math.ceil(top / step * 0.999) + 1)]


def _grid(frame: _Frame, ticks: Sequence[float]) -> Iterator[str]:
    for tick in ticks:
        y = frame.y(tick)
        yield f'<line class="g" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(_LEFT - 6, y + 4, number_words(round(tick, 9)), "end")


def _x_axis(frame: _Frame, words: str) -> Iterator[str]:
    for part in range(5):
        value = frame.first + (frame.last - frame.first) * part / 4
        yield _text(frame.x(value), HEIGHT - 16, number_words(round(value, 1)), "middle")
    yield _text(WIDTH - _RIGHT, HEIGHT - 3, words, "end")


def _marks(frame: _Frame, marks: Sequence[tuple[float, str]]) -> Iterator[str]:
    for at, words in marks:
        if frame.first <= at <= frame.last:
            x = frame.x(at)
            title = f"<title>{escape(words)}</title>"
            yield f'<line class="m" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}">{title}</line>'


def _line(frame: _Frame, series: Series, number: int) -> Iterator[str]:
    run: list[str] = []
    for x, y in [*series.points, (0.0, None)]:
        if y is not None:
            run.append(f"{frame.x(x):.1f},{frame.y(y):.1f}")
        elif run:
            # A point on its own is a short line, which can be seen.
            drawn = run if len(run) > 1 else [run[0], run[0]]
            yield f'<polyline class="s{number}" points="{" ".join(drawn)}"/>'
            run = []


def _legend(series: Sequence[Series]) -> Iterator[str]:
    for number, each in enumerate(series):
        x = _LEFT + 130 * number
        yield f'<line class="s{number}" x1="{x}" x2="{x + 18}" y1="{HEIGHT - 6}" y2="{HEIGHT - 6}"/>'
        yield _text(x + 24, HEIGHT - 2, each.words, "start")


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _svg(parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>'
