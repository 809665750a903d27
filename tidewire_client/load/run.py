"""Plays a scenario with load processes, and says what came of it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tidewire_client.load.fleet import Fleet
from tidewire_client.load.ledger import Account
from tidewire_client.load.load_processes import BUSIEST_PERCENT, LoadProcesses
from tidewire_client.load.plan import Target
from tidewire_client.load.result import ClientResult, Result
from tidewire_client.load.scenarios.base import Scenario
from tidewire_client.load.services import Services
from tidewire_client.load.stage import Stage
from tidewire_client.load.timeline import Timeline

# Sending this much later than due, for 1 in 100, makes latencies the load's own.
LATEST_MS: Final = 5.0
LOOK_S: Final = 0.1
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Run:
    """What is to be run.

    Attributes:
        scenario: What is to happen.
        options: Of the scenario, for reports.
        target: Where.
        workers: How many load processes.
        services: Whose metrics are asked for.
        interval_s: How far points of the timeline lie apart at first, in seconds.
        prefix: With which channels begin.
    """

    scenario: Scenario
    options: Mapping[str, Any]
    target: Target
    workers: int
    services: Services
    interval_s: float
    prefix: str


async def play(run: Run, show: Callable[[Stage], None], show_every_s: float) -> Result:
    """Run a scenario.

    Ctrl-C, or SIGTERM, ends it early with what was measured until then; the second time it is gone at once.

    Args:
        run: What is to be run.
        show: Told again and again how it goes.
        show_every_s: How often, in seconds.

    Raises:
        LoadProcessFailed: The load itself cannot go on.
    """
    started = datetime.now(UTC)
    start_s = time.monotonic()
    timeline = Timeline(start_s, run.interval_s)
    processes = LoadProcesses(run.workers, timeline)
    fleet = Fleet(run.target, run.workers)
    stage = Stage(run.target, fleet, run.services, processes, timeline, run.prefix)
    fleet.on_tick = stage.on_tick
    with _interrupting(stage):
        async with fleet:
            helpers = [
                asyncio.create_task(run.services.watch(run.interval_s, stage.on_sample)),
                asyncio.create_task(_show(stage, show, show_every_s)),
            ]
            try:
                await run.scenario.play(stage)
            finally:
                for helper in helpers:
                    helper.cancel()
                await asyncio.wait(helpers)
            for helper in helpers:
                if not helper.cancelled():
                    helper.result()
    return _result(run, stage, started, time.monotonic() - start_s)


async def _show(stage: Stage, show: Callable[[Stage], None], every_s: float) -> None:
    """Show how it goes, again and again, and at once when something else begins."""
    shown, shown_s = "", 0.0
    while True:
        now_s = time.monotonic()
        if stage.phase != shown or now_s - shown_s >= every_s:
            show(stage)
            shown, shown_s = stage.phase, now_s
        await asyncio.sleep(min(every_s, LOOK_S))


@contextmanager
def _interrupting(stage: Stage) -> Iterator[None]:
    """While it lasts, Ctrl-C and SIGTERM interrupt the stage first, and cancel the task the second time."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def signalled() -> None:
        if not stage.interrupted:
            stage.interrupt()
        elif task is not None:
            task.cancel()

    for number in _STOPPING:
        loop.add_signal_handler(number, signalled)
    try:
        yield
    finally:
        for number in _STOPPING:
            loop.remove_signal_handler(number)


def _result(run: Run, stage: Stage, started: datetime, seconds: float) -> Result:
    totals, drained = stage.processes.totals(), stage.findings.drained
    id_start = f"{run.target.login.client_id}-{run.target.run}"
    clients = [] if drained is None else [ClientResult(f"{id_start}-{a.number}", a.account) for a in drained.accounts]
    figures = _common_figures(stage) | stage.findings.figures
    if drained is not None:
        figures |= _message_figures(clients, stage)
    result = Result(
        scenario=run.scenario.name,
        started=started,
        seconds=seconds,
        url=run.target.login.url,
        place=f"{run.target.login.domain}/{run.target.login.workspace}",
        options=run.options,
        known=run.scenario.figures,
        figures=figures,
        interrupted=stage.interrupted,
        clients=clients,
        confirmed_twice=totals.confirmed_twice,
        told_lost=totals.told_lost,
        histograms=stage.findings.histograms,
        timeline=stage.timeline.records(),
        marks=stage.marks,
        load_processes=stage.processes.records(),
        reasons=totals.reasons,
        notes=stage.findings.notes,
    )
    result.warnings += _warnings(result, run.services)
    return result


def _common_figures(stage: Stage) -> dict[str, float | None]:
    totals = stage.processes.totals()
    busy = [percent for percent in stage.processes.busy_percent() if percent is not None]
    return {
        "connected": max((point.open for point in stage.timeline.points), default=0),
        "failed": stage.failed + totals.not_back,
        "dropped": totals.dropped,
        "load_cpu_percent": max(busy, default=None),
        "services_cpu_percent": stage.services_cpu_percent,
    }


def _message_figures(clients: list[ClientResult], stage: Stage) -> dict[str, float | None]:
    total, drained, counters = Account(), stage.findings.drained, stage.processes.totals()
    for client in clients:
        total = total.plus(client.account)
    return {
        "expected": total.expected,
        "received": total.received,
        "missing": total.missing,
        "duplicated": total.duplicated,
        "out_of_order": total.out_of_order,
        "sent": counters.sent,
        "confirmed": counters.confirmed,
        "refused": counters.refused,
        "unanswered": drained.unanswered if drained is not None else None,
        "unsent": counters.unsent,
    }


def _warnings(result: Result, services: Services) -> list[str]:
    found, figures = [], result.figures
    busiest = figures.get("load_cpu_percent")
    if busiest is not None and busiest > BUSIEST_PERCENT:
        found.append(
            f"A load process used {busiest:.0f} % of a core: the load may have been the limit, not the gateway. "
            "Use more --workers, or a machine of its own for the load."
        )
    late = figures.get("late_p99_ms")
    if late is not None and late > LATEST_MS:
        found.append(
            f"1 in 100 messages was sent {late:.1f} ms late or more: latencies hold that time too. "
            "Use more --workers, or a machine of its own for the load."
        )
    for name, words in (
        ("refused", "messages were refused: the gateway sheds, or a limit of the key was reached"),
        ("unsent", "messages were not sent, because their sender was not connected"),
    ):
        if figures.get(name):
            found.append(f"{figures[name]:.0f} {words}. No client was to get these.")
    if result.told_lost:
        found.append(f"The gateway said {result.told_lost} times that what a client had missed is no longer kept.")
    found += [f"No metrics of {url}: {problem}." for url, problem in services.problems.items()]
    return found
