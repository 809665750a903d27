"""`tidewire top`: what services do now, from their metrics."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tidewire_client.cli.failures import CommandFailed, UsageProblem
from tidewire_client.cli.options import DEFAULT_URL
from tidewire_client.cli.output import Output, prints
from tidewire_client.errors import ServiceUnavailable
from tidewire_client.top.scrape import metrics_url
from tidewire_client.top.view import blocks
from tidewire_client.top.watch import Seen, watch


@prints
def top(
    output: Output,
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TARGET]...",
            envvar="TIDEWIRE_TOP_TARGETS",
            help="Where metrics of processes are: host:port of each metrics port, or a URL.",
            show_default=DEFAULT_URL,
        ),
    ] = None,
    interval: Annotated[float, typer.Option(min=0.1, max=3600, help="How often to look, in seconds.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print what one interval brought, and end.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, max=60, help="How long to wait for an answer, in seconds.")] = 2.0,
) -> None:
    """Show what services do now: rates, times and what waits, from the metrics of each process.

    With --json each interval is one line: a process has `figures`, or a `problem`.
    """
    try:
        urls = [metrics_url(target) for target in targets or [DEFAULT_URL]]
    except ValueError as problem:
        raise UsageProblem(str(problem)) from None
    asyncio.run(_show(output, urls, interval, timeout, once=once))


async def _show(output: Output, urls: Sequence[str], interval_s: float, timeout_s: float, *, once: bool) -> None:
    live = not once and not output.as_json and sys.stdout.isatty()
    async with aclosing(watch(urls, interval_s, timeout_s)) as intervals:
        if live:
            with Live(screen=True, auto_refresh=False) as screen:
                async for seen in intervals:
                    screen.update(_screen(seen, interval_s, screen.console.width), refresh=True)
        async for seen in intervals:
            _print(output, seen)
            if once:
                _fail_unless_seen(seen)
                return


def _print(output: Output, seen: Sequence[Seen]) -> None:
    if output.as_json:
        output.record({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "processes": _records(seen)})
        return
    for heading, lines in blocks(seen):
        output.table(heading, lines)
    output.line("")


def _records(seen: Sequence[Seen]) -> list[dict[str, Any]]:
    return [
        {
            "target": each.target,
            "problem": each.problem or None,
            "figures": dataclasses.asdict(each.figures) if each.figures else None,
        }
        for each in seen
    ]


def _screen(seen: Sequence[Seen], interval_s: float, width: int) -> Group:
    parts: list[Any] = [Text(f"tidewire top  {datetime.now().astimezone():%H:%M:%S}  every {interval_s:g} s", "dim")]
    for heading, lines in blocks(seen, width):
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for number, column in enumerate(heading):
            table.add_column(Text(column), style="dim" if not number else "", no_wrap=True)
        for line in lines:
            table.add_row(*map(Text, line))
        parts += ["", table]
    return Group(*parts)


def _fail_unless_seen(seen: Sequence[Seen]) -> None:
    """A script that asks once is told by the exit code when there is nothing to know."""
    if not any(each.figures for each in seen):
        problems = "; ".join(f"{each.target}: {each.problem}" for each in seen)
        raise CommandFailed(
            ServiceUnavailable(f"no metrics: {problems}"), "Each process has metrics where its metrics_port is."
        )
