"""What all scenarios of `tidewire load` take, and what is made of it before anything is started."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from tidewire_client.cli import options
from tidewire_client.cli.durations import parse_duration
from tidewire_client.cli.edge import EdgeAccess, edge_access
from tidewire_client.cli.failures import UsageProblem
from tidewire_client.cli.option_sets import option_set
from tidewire_client.cli.output import Output
from tidewire_client.load import usage
from tidewire_client.load.compare import OldRun
from tidewire_client.load.environment import tls_context
from tidewire_client.load.scenarios.base import Scenario
from tidewire_client.load.thresholds import Threshold
from tidewire_client.top.scrape import metrics_url

MOST_WORKERS: Final = 64
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,24}")


@dataclass(frozen=True)
class LoadOptions:
    """The options as they were given."""

    url: str
    key_file: Path | None
    domain: str
    workspace: str
    tls_ca_file: Path | None
    name: str
    workers: int
    timeout: float
    metrics: Sequence[str]
    interval: float
    html: Path | None
    json_file: Path | None
    compare: Path | None
    fail_if: Sequence[str]


@dataclass(frozen=True)
class Checked:
    """What is left of them when nothing is wrong.

    Attributes:
        access: To the edge.
        metrics: URLs.
        thresholds: That the run must keep.
        old: What is compared with; None: nothing.
    """

    access: EdgeAccess
    metrics: Sequence[str]
    thresholds: Sequence[Threshold]
    old: OldRun | None


def default_workers() -> int:
    """Return how many load processes there are if nobody says: one core is left to what else runs."""
    return min(4, max(1, (os.cpu_count() or 2) - 1))


def load_options(
    url: options.Url = options.DEFAULT_URL,
    key_file: options.KeyFile = None,
    domain: options.Domain = options.DEFAULT_PLACE,
    workspace: options.Workspace = options.DEFAULT_PLACE,
    tls_ca_file: Annotated[
        Path | None,
        typer.Option(
            "--tls-ca-file", help="Certificates (PEM) to trust at an edge with https, instead of the system's."
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", help="With which channels and client ids begin: up to 24 of A-Z a-z 0-9 _ -.")
    ] = "load",
    workers: Annotated[
        int,
        typer.Option(min=0, max=MOST_WORKERS, help="Load processes; 0: one less than there are cores, at most 4."),
    ] = 0,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1, max=3600, help="How long to wait for a client to connect, or for the last messages, in seconds."
        ),
    ] = 30.0,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metrics", metavar="TARGET", help="Where a service has its metrics: host:port or a URL; again for more."
        ),
    ] = None,
    interval: Annotated[
        float, typer.Option(min=0.1, max=3600, help="How far apart points over time lie at first, in seconds.")
    ] = 1.0,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a report with plots there.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all that was measured there, for programs.")
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option("--compare", metavar="FILE", help="Show ratios to an older run, from its --json FILE."),
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if", metavar="THRESHOLD", help="End with 6 if a figure is so, e.g. 'p99_ms>20'; again for more."
        ),
    ] = None,
) -> LoadOptions:
    """Return the options."""
    return LoadOptions(
        url,
        key_file,
        domain,
        workspace,
        tls_ca_file,
        name,
        workers or default_workers(),
        timeout,
        metrics or (),
        interval,
        html,
        json_file,
        compare,
        fail_if or (),
    )


# Over a command: its first parameter are these options.
loads: Final = option_set(load_options)


def check(given: LoadOptions, scenario: Scenario, output: Output) -> Checked:
    """Look for whatever is wrong, before anything is started.

    Raises:
        UsageProblem: An option is wrong; the text says which, and what is right.
    """
    if not _NAME.fullmatch(given.name):
        raise UsageProblem(f"--name: {given.name!r} is not 1 to 24 of A-Z a-z 0-9 _ -")
    if "@" in given.url.partition("//")[2].partition("/")[0]:
        raise UsageProblem("--url: names a user; a key is given by TIDEWIRE_API_KEY or --key-file")
    access = edge_access(output, given.url.rstrip("/"), given.key_file, given.name, given.domain, given.workspace)
    names = [figure.name for figure in scenario.figures]
    try:
        thresholds = [Threshold.parse(text, names) for text in given.fail_if]
    except ValueError as problem:
        raise UsageProblem(f"--fail-if: {problem}") from None
    try:
        urls = [metrics_url(target) for target in given.metrics]
    except ValueError as problem:
        raise UsageProblem(f"--metrics: {problem}") from None
    try:
        old = None if given.compare is None else OldRun.read(given.compare, scenario.name)
    except ValueError as problem:
        raise UsageProblem(f"--compare: {problem}") from None
    _check_files(given)
    _check_descriptors(given, scenario)
    return Checked(access, urls, thresholds, old)


def _check_files(given: LoadOptions) -> None:
    if given.tls_ca_file is not None:
        try:
            tls_context("https://", given.tls_ca_file)
        except OSError as exc:
            raise UsageProblem(f"--tls-ca-file: {given.tls_ca_file} cannot be used: {exc.strerror or exc}") from None
    for option, file in (("--html", given.html), ("--json", given.json_file)):
        if file is not None and (file.is_dir() or not os.access(file.parent, os.W_OK)):
            raise UsageProblem(f"{option}: {file} cannot be written")
    if given.html is not None and given.html == given.json_file:
        raise UsageProblem("--html and --json name the same file")


def _check_descriptors(given: LoadOptions, scenario: Scenario) -> None:
    """Each connection takes a descriptor of its load process."""
    most, needed = usage.most_connections(), -(-scenario.clients // given.workers)
    if most is not None and needed > most:
        raise UsageProblem(
            f"{scenario.clients} clients in {given.workers} load processes are {needed} in each, and the system lets one have "
            f"{most}: use more --workers, or raise the limit (ulimit -Hn)"
        )


def seconds(option: str, text: str) -> float:
    """Return a length of time in seconds.

    Args:
        option: Named in errors.
        text: A number of seconds, or `10m`, `1h30m`.

    Raises:
        UsageProblem: It is neither.
    """
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return float(text)
    try:
        return parse_duration(text).total_seconds()
    except UsageProblem:
        raise UsageProblem(f"{option}: {text!r} is no length of time: 30, 0.5, 45s, 10m or 1h30m is") from None


def positive_seconds(option: str, text: str) -> float:
    """Return the same, which must be more than nothing."""
    found = seconds(option, text)
    if found <= 0:
        raise UsageProblem(f"{option}: must be more than 0 seconds")
    return found
