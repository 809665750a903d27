"""How a scenario of `tidewire load` is run from the command line: tried, shown, reported, and judged by its exit code."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import secrets
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.live import Live

from tidewire_client.cli.edge import EdgeAccess
from tidewire_client.cli.failures import CommandFailed, ExitCode, UsageProblem
from tidewire_client.cli.load_options import Checked, LoadOptions, check
from tidewire_client.cli.output import Output, printable
from tidewire_client.errors import TidewireError
from tidewire_client.load.compare import compare, differences
from tidewire_client.load.dialling import resolve
from tidewire_client.load.environment import tls_context
from tidewire_client.load.fleet import LoadProcessFailed
from tidewire_client.load.messages import RUN_LENGTH
from tidewire_client.load.plan import Target
from tidewire_client.load.probe import probe
from tidewire_client.load.report.html import page
from tidewire_client.load.report.terminal import live_view, progress_line, report_lines
from tidewire_client.load.result import Result
from tidewire_client.load.run import Run, play
from tidewire_client.load.scenarios.base import Scenario
from tidewire_client.load.services import Services
from tidewire_client.load.stage import Stage
from tidewire_client.load.thresholds import broken

LIVE_EVERY_S: Final = 0.5
LINE_EVERY_S: Final = 5.0
# Fields of a scenario that nobody has given.
_OWN: Final = frozenset({"name", "figures", "publishes", "remedy"})


def run_scenario(given: LoadOptions, scenario: Scenario) -> None:
    """Run a scenario, report, and end with what it means.

    Raises:
        UsageProblem: Options are wrong, or go beyond what the edge allows.
        CommandFailed: The edge cannot be reached or does not allow it, or the load itself failed.
        typer.Exit: Always, with the exit code.
    """
    output = Output(as_json=False)
    checked = check(given, scenario, output)
    try:
        result = asyncio.run(_play(given, checked, scenario, output))
    except asyncio.CancelledError:
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except LoadProcessFailed as failed:
        raise CommandFailed(TidewireError(str(failed)), "This is no figure of the gateway.") from None
    result.broken = broken(checked.thresholds, result.figures)
    if checked.old is not None:
        result.compared = compare(checked.old, result)
        different = differences(checked.old, result.options)
        if different:
            result.warnings.append(f"The run compared with had other options: {'; '.join(different)}.")
    _report(given, output, result)
    raise typer.Exit(exit_code(result))


def exit_code(result: Result) -> ExitCode:
    """Return what a result means for whoever started the run: the worst of what is to be said."""
    if result.wrong:
        return ExitCode.MESSAGES_WRONG
    if result.interrupted:
        return ExitCode.INTERRUPTED
    if result.figures.get("failed"):
        return ExitCode.FAILED
    return ExitCode.THRESHOLD if result.broken else ExitCode.OK


async def _play(given: LoadOptions, checked: Checked, scenario: Scenario, output: Output) -> Result:
    target = await _try(given, checked.access, scenario)
    run = Run(
        scenario=scenario,
        options=_options(given, scenario),
        target=target,
        workers=min(given.workers, scenario.clients),
        services=Services(checked.metrics),
        interval_s=given.interval,
        prefix=given.name,
    )
    screen, show, every_s = _shown(output, scenario.name)
    with screen:
        return await play(run, show, every_s)


async def _try(given: LoadOptions, access: EdgeAccess, scenario: Scenario) -> Target:
    """Have one client do what the load will do, and return where the load goes."""
    login, run = access.login, secrets.token_hex(RUN_LENGTH // 2)
    with access.explained():
        addresses, port = resolve(login.url)
        tls = tls_context(login.url, given.tls_ca_file)
        one = dataclasses.replace(login, client_id=f"{login.client_id}-{run}-probe")
        limits = await probe(one, f"{given.name}-{run}-probe", tls, publishes=scenario.publishes)
    try:
        scenario.check(limits)
    except ValueError as problem:
        raise UsageProblem(str(problem)) from None
    return Target(login, addresses, port, given.tls_ca_file, run, given.timeout)


def _options(given: LoadOptions, scenario: Scenario) -> dict[str, Any]:
    fields = dataclasses.asdict(scenario)  # type: ignore[call-overload]
    own = {name: value for name, value in fields.items() if name not in _OWN}
    return {**own, "workers": given.workers}


def _shown(output: Output, scenario: str) -> tuple[AbstractContextManager[Any], Callable[[Stage], None], float]:
    """Return how progress is shown: as a picture that changes, or, where nobody looks, as a line now and then."""
    if not sys.stderr.isatty():
        return nullcontext(), lambda stage: output.note(progress_line(stage)), LINE_EVERY_S
    live = Live(console=Console(file=sys.stderr, highlight=False), auto_refresh=False, transient=True)
    return live, lambda stage: live.update(live_view(stage, scenario), refresh=True), LIVE_EVERY_S


def _report(given: LoadOptions, output: Output, result: Result) -> None:
    for line in report_lines(result):
        output.line(*((printable(text), style) for text, style in line))
    if given.json_file is not None:
        _write(given.json_file, json.dumps(result.record(), ensure_ascii=False, indent=1) + "\n")
        output.note(f"written: {given.json_file}")
    if given.html is not None:
        _write(given.html, page(result))
        output.note(f"written: {given.html}")


def _write(file: Path, text: str) -> None:
    """Write a file whole, or leave what was there."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as exc:
        draft.unlink(missing_ok=True)
        raise CommandFailed(TidewireError(f"{file} cannot be written: {exc.strerror}"), "") from None
