"""Figures as a table: a line for each figure, a column for each process, as many side by side as there is room for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from tidewire_client.top.figures import Figures, Times
from tidewire_client.top.watch import Seen

NOTHING: Final = "-"
GAP: Final = 2
_Cell: TypeAlias = Callable[[Figures], str]
Block: TypeAlias = tuple[list[str], list[list[str]]]


def number(value: float | None) -> str:
    """Return a number in at most six characters: `0`, `7.5`, `120`, `12.3k`, `4.56M`."""
    if value is None:
        return NOTHING
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if value >= size:
            scaled = value / (1e3 if unit == "k" else size)
            return f"{scaled:.{max(0, 2 - int(math.log10(scaled)))}f}{unit}"
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def milliseconds(value: float | None) -> str:
    """Return a time, e.g. `0.25 ms` or `1.20 s`."""
    if value is None:
        return NOTHING
    if value >= 1000:
        return f"{value / 1000:.2f} s"
    return f"{value:.2f} ms" if value < 10 else f"{value:.0f} ms"


def _times(of: Callable[[Figures], Times | None]) -> _Cell:
    """Return how both quantiles are shown."""

    def cell(figures: Figures) -> str:
        times = of(figures)
        return NOTHING if times is None else f"{milliseconds(times.p50_ms)} / {milliseconds(times.p99_ms)}"

    return cell


_LINES: Final[Sequence[tuple[str, _Cell]]] = (
    ("connections", lambda f: number(f.connections)),
    ("frames in /s", lambda f: number(f.frames_in_per_s)),
    ("frames out /s", lambda f: number(f.frames_out_per_s)),
    ("bytes in /s", lambda f: number(f.bytes_in_per_s)),
    ("bytes out /s", lambda f: number(f.bytes_out_per_s)),
    ("deliveries /s", lambda f: number(f.deliveries_per_s)),
    ("calls /s", lambda f: number(f.calls_per_s)),
    ("rpc p50/p99", _times(lambda f: f.rpc)),
    ("flush p50/p99", _times(lambda f: f.flush)),
    ("commit p50/p99", _times(lambda f: f.commit)),
    ("canary p50/p99", _times(lambda f: f.canary)),
    ("loop lag p50/p99", _times(lambda f: f.loop_lag)),
    ("outbox bytes", lambda f: number(f.outbox_bytes)),
    ("waiting", lambda f: number(f.waiting)),
    ("slow consumers", lambda f: number(f.slow_consumers)),
    ("gaps", lambda f: number(f.gaps)),
)


def blocks(seen: Sequence[Seen], width: int | None = None) -> Iterator[Block]:
    """Yield tables, each as its heading and its lines.

    Args:
        seen: The processes.
        width: Of the terminal, in characters; None: all processes are side by side.
    """
    labels = ["", "state", *(label for label, _ in _LINES)]
    left = max(map(len, labels))
    columns = [_column(each) for each in seen]
    while columns:
        taken, used = 1, left + GAP + max(map(len, columns[0]))
        while taken < len(columns):
            used += GAP + max(map(len, columns[taken]))
            if width is not None and used > width:
                break
            taken += 1
        heading, *lines = zip(labels, *columns[:taken], strict=True)
        yield list(heading), [list(line) for line in lines]
        columns = columns[taken:]


def _column(seen: Seen) -> list[str]:
    url = urlsplit(seen.target)
    place = f"{url.hostname}:{url.port}" if url.port else url.netloc
    figures = seen.figures
    if figures is None:
        return [place, seen.problem, *(NOTHING for _ in _LINES)]
    state = {True: "ready", False: "not ready", None: NOTHING}[figures.ready]
    return [f"{figures.service} {place}", state, *(cell(figures) for _, cell in _LINES)]
