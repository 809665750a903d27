"""A result as one HTML file, which needs nothing from elsewhere: no script, no font, no picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, Final

from tidewire_client.load.report.svg import Series, lines, percentiles
from tidewire_client.load.report.words import judgement, ratio_words, size_words, value_words, verdict
from tidewire_client.load.result import Result

MOST_CLIENTS: Final = 100
_STYLE: Final = """
:root{color-scheme:light dark;--text:#1d2a30;--dim:#5c6b73;--line:#d8e0e3;--back:#fff;--good:#0a7a4b;--bad:#b3261e;
--s0:#00796b;--s1:#c2571a;--s2:#3f51b5;--s3:#8e24aa}
@media(prefers-color-scheme:dark){:root{--text:#e3eaed;--dim:#9aa9b1;--line:#35434a;--back:#12191c;--good:#4cc38a;
--bad:#ff8a80;--s0:#4db6ac;--s1:#ffb074;--s2:#9fa8da;--s3:#ce93d8}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);
max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:0}h2{font-size:1.1rem;margin-top:2rem}
.dim{color:var(--dim)}.good{color:var(--good)}.bad{color:var(--bad)}
table{border-collapse:collapse;width:100%}td,th{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:left}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
svg{width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:var(--dim)}
svg line.g{stroke:var(--line)}svg line.m{stroke:var(--dim);stroke-dasharray:3 4}
svg polyline{fill:none;stroke-width:1.8;stroke-linecap:round}
svg .s0{stroke:var(--s0)}svg .s1{stroke:var(--s1)}svg .s2{stroke:var(--s2)}svg .s3{stroke:var(--s3)}
"""


def page(result: Result) -> str:
    """Return the file."""
    title = f"tidewire load {result.scenario}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(_body(result, title))
        + "\n</body>\n</html>\n"
    )


def _body(result: Result, title: str) -> Iterator[str]:
    good, words = verdict(result)
    yield f"<h1>{escape(title)}</h1>"
    when = result.started.strftime("%Y-%m-%d %H:%M:%S UTC")
    yield f'<p class="dim">{escape(result.url)} &middot; {when} &middot; {result.seconds:.1f} s</p>'
    yield f'<p class="{"good" if good else "bad"}"><strong>{escape(words)}</strong></p>'
    if result.interrupted:
        yield '<p class="bad">Ended early: this is what was measured until then.</p>'
    yield from (f'<p class="bad">Threshold broken: {escape(broken)}</p>' for broken in result.broken)
    yield from (f'<p class="bad">Warning: {escape(warning)}</p>' for warning in result.warnings)
    yield from (f"<p>{escape(note)}</p>" for note in result.notes)
    rows = [[f.name, value_words(f, value), f.words] for f, value in result.measured()]
    yield "<h2>Figures</h2>" + _table(["figure", "value", "what it is"], rows, {1})
    yield from _plots(result)
    yield from _compared(result)
    yield from _faulty(result)
    yield from _rest(result)


def _plots(result: Result) -> Iterator[str]:
    for words, histogram in result.histograms.items():
        yield f"<h2>{escape(words.capitalize())} by percentile, in ms</h2>" + percentiles(histogram)
    for title, names, scale in (
        ("Latency over time, in ms", (("p50", "p50_ms"), ("p99", "p99_ms")), 1.0),
        ("Messages a second", (("sent", "sent_per_s"), ("delivered", "delivered_per_s")), 1.0),
        ("Connections", (("open", "open"),), 1.0),
        ("Memory, in MB", (("services", "memory_bytes"), ("load", "load_memory_bytes")), 1e-6),
    ):
        plot = _over_time(result, names, scale)
        if plot:
            yield f"<h2>{title}</h2>{plot}"
    if result.marks:
        rows = [[f"{at_s:.1f} s", phase] for at_s, phase in result.marks]
        yield "<h2>Phases</h2>" + _table(["from", "phase"], rows, {0})


def _over_time(result: Result, names: Sequence[tuple[str, str]], scale: float) -> str:
    series = [
        Series(words, [(point["at_s"], _scaled(point[name], scale)) for point in result.timeline])
        for words, name in names
        if any(point[name] for point in result.timeline)
    ]
    return lines(series, "seconds", result.marks) if series and len(result.timeline) > 1 else ""


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def _compared(result: Result) -> Iterator[str]:
    if result.compared:
        rows = [
            [
                c.figure.name,
                value_words(c.figure, c.before),
                value_words(c.figure, c.now),
                f"{ratio_words(c)} {judgement(c)}",
            ]
            for c in result.compared
        ]
        yield "<h2>Compared</h2>" + _table(["figure", "then", "now", "ratio"], rows, {1, 2, 3})


def _faulty(result: Result) -> Iterator[str]:
    faulty = result.faulty
    if faulty:
        names = ("expected", "received", "missing", "duplicated", "out_of_order")
        rows = [[c.client_id, *(f"{getattr(c.account, n):,}" for n in names)] for c in faulty[:MOST_CLIENTS]]
        yield "<h2>Clients that did not get everything once and in order</h2>"
        yield _table(["client", *(name.replace("_", " ") for name in names)], rows, {1, 2, 3, 4, 5})
        if len(faulty) > MOST_CLIENTS:
            yield f'<p class="dim">and {len(faulty) - MOST_CLIENTS:,} more</p>'


def _rest(result: Result) -> Iterator[str]:
    if result.reasons:
        rows = [[f"{count:,}", reason] for reason, count in sorted(result.reasons.items(), key=lambda p: -p[1])]
        yield "<h2>What went wrong</h2>" + _table(["times", "what"], rows, {0})
    rows = [[str(number + 1), *_process(each)] for number, each in enumerate(result.load_processes)]
    yield "<h2>Load processes</h2>" + _table(["process", "of a core", "memory"], rows, {1, 2})
    rows = [[name, str(value)] for name, value in result.options.items()]
    yield "<h2>Options</h2>" + _table(["option", "value"], rows, set())


def _process(record: Any) -> list[str]:
    busy, memory = record["cpu_percent"], record["memory_bytes"]
    return ["-" if busy is None else f"{busy:g} %", "-" if memory is None else size_words(memory)]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: set[int]) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        parts = (
            f"<{tag}{' class=n' if number in numbers else ''}>{escape(cell)}</{tag}>"
            for number, cell in enumerate(cells)
        )
        return f"<tr>{''.join(parts)}</tr>"

    return f"<table>{row(head, 'th')}{''.join(row(cells, 'td') for cells in rows)}</table>"
