"""A result as lines of text, and a run as it goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tidewire_client.load.report.words import (
    judgement,
    number_words,
    ratio_words,
    sparkline,
    value_words,
    verdict,
)
from tidewire_client.load.result import Result
from tidewire_client.load.stage import Stage
from tidewire_client.load.timeline import Point

# Style by part of the report, as `Output.line` takes it.
Line = tuple[tuple[str, str], ...]
PLOT_WIDTH: Final = 60
MOST_CLIENTS: Final = 10
_PLOTS: Final = (
    ("deliveries a second", "delivered_per_s"),
    ("p50 in ms", "p50_ms"),
    ("p99 in ms", "p99_ms"),
    ("connections", "open"),
    ("memory in MB", "memory_bytes"),
)


def report_lines(result: Result) -> Iterator[Line]:
    """Yield the report, line by line."""
    yield ((f"tidewire load {result.scenario}", "bold"), (f"  {result.url}  {result.seconds:.1f} s", "dim"))
    if result.interrupted:
        yield (("ended early: this is what was measured until then", "yellow"),)
    yield from _figures(result)
    yield from _plots(result.timeline)
    yield from _faulty(result)
    if result.reasons:
        yield (("what went wrong, and how often", "dim"),)
        for reason, count in sorted(result.reasons.items(), key=lambda pair: -pair[1]):
            yield ((f"  {count:>8,}  {reason}", ""),)
    for note in result.notes:
        yield ((note, ""),)
    yield from _compared(result)
    for warning in result.warnings:
        yield ((f"warning: {warning}", "yellow"),)
    for words in result.broken:
        yield ((f"threshold broken: {words}", "red"),)
    good, words = verdict(result)
    yield ((words, "bold green" if good else "bold red"),)


def _figures(result: Result) -> Iterator[Line]:
    rows = [(figure, value_words(figure, value)) for figure, value in result.measured()]
    name_width = max((len(figure.name) for figure, _ in rows), default=0)
    width = max((len(value) for _, value in rows), default=0)
    for figure, value in rows:
        yield ((figure.name.ljust(name_width), ""), (f"  {value:>{width}}", "bold"), (f"  {figure.words}", "dim"))


def _plots(timeline: Sequence[Any]) -> Iterator[Line]:
    for words, name in _PLOTS:
        values = [point[name] for point in timeline]
        known = [value for value in values if value is not None]
        if len(known) < 3 or not max(known):
            continue
        top = max(known) / 1e6 if name == "memory_bytes" else max(known)
        yield (
            (f"{words:<20}", "dim"),
            (sparkline(values, PLOT_WIDTH), "cyan"),
            (f"  up to {number_words(top)}", "dim"),
        )


def _faulty(result: Result) -> Iterator[Line]:
    faulty = result.faulty
    if not faulty:
        return
    names = ("expected", "received", "missing", "duplicated", "out_of_order")
    width = max(len(client.client_id) for client in faulty[:MOST_CLIENTS])
    yield ((f"{'client':<{width}}" + "".join(f"{name:>14}" for name in names), "dim"),)
    for client in faulty[:MOST_CLIENTS]:
        counts = "".join(f"{getattr(client.account, name):>14,}" for name in names)
        yield ((f"{client.client_id:<{width}}{counts}", "red"),)
    if len(faulty) > MOST_CLIENTS:
        yield ((f"and {len(faulty) - MOST_CLIENTS:,} more; --json has them all", "dim"),)


def _compared(result: Result) -> Iterator[Line]:
    if not result.compared:
        return
    width = max(len(compared.figure.name) for compared in result.compared)
    yield ((f"{'compared':<{width}}{'then':>16}{'now':>16}{'ratio':>10}", "dim"),)
    for compared in result.compared:
        then, now = (value_words(compared.figure, value) for value in (compared.before, compared.now))
        word = judgement(compared)
        style = {"better": "green", "worse": "red", "": ""}[word]
        line = f"{compared.figure.name:<{width}}{then:>16}{now:>16}{ratio_words(compared):>10}  {word}"
        yield ((line.rstrip(), style),)


def live_view(stage: Stage, scenario: str) -> Group:
    """Return what goes on now, for a terminal."""
    totals, point = stage.processes.totals(), last_point(stage)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for name, value in (
        ("connections", f"{totals.open:,}"),
        ("sent", f"{totals.sent:,}"),
        ("delivered", f"{totals.delivered:,}"),
        ("p50 / p99", _quantiles(point)),
        ("dropped, refused", f"{totals.dropped:,}, {totals.refused:,}"),
        ("load processes", " ".join("-" if b is None else f"{b:.0f} %" for b in stage.processes.busy_percent())),
    ):
        table.add_row(Text(name, "dim"), Text(value))
    parts: list[Any] = [Text(f"tidewire load {scenario}  {phase_words(stage)}", "bold"), table]
    points = stage.timeline.points
    for words, values in (
        ("deliveries a second", [p.delivered / p.seconds for p in points]),
        ("p99", [p.latency.quantile_ms(0.99) for p in points]),
    ):
        if any(values):
            parts.append(Text.assemble((f"{words:<20}", "dim"), (sparkline(values, PLOT_WIDTH), "cyan")))
    parts.append(Text("Ctrl-C ends, with a report of what was measured", "dim"))
    return Group(*parts)


def progress_line(stage: Stage) -> str:
    """Return what goes on now, as one line."""
    totals, point = stage.processes.totals(), last_point(stage)
    return (
        f"{stage.elapsed_s:6.1f} s  {phase_words(stage)}  {totals.open:,} connected, {totals.sent:,} sent, "
        f"{totals.delivered:,} delivered, p50 / p99 {_quantiles(point)}"
    )


def phase_words(stage: Stage) -> str:
    """Return what phase it is, and how long it goes on."""
    if stage.interrupted:
        return f"ending early ({stage.phase})"
    if stage.phase_end_s is None:
        return stage.phase
    left_s = max(0.0, stage.phase_end_s - time.monotonic())
    return f"{stage.phase}, {left_s:.0f} s left"


def last_point(stage: Stage) -> Point | None:
    """Return the newest stretch of time in which something was delivered; None: nothing was."""
    return next((point for point in reversed(stage.timeline.points) if point.latency), None)


def _quantiles(point: Point | None) -> str:
    if point is None:
        return "-"
    return f"{point.latency.quantile_ms(0.5):.2f} / {point.latency.quantile_ms(0.99):.2f} ms"
