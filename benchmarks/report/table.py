"""Results as text: for each figure a line for each server, with median, spread and ratio."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.report.machine import Machine
from benchmarks.rounds import Contender, Result
from benchmarks.scenarios.base import Figure

_NAME_WIDTH = 24
_SHOWN_FAULTS = 5


def table(result: Result, machine: Machine) -> str:
    """Return a result for people."""
    return "\n".join(_lines(result, machine)) + "\n"


def _lines(result: Result, machine: Machine) -> Iterator[str]:
    scenario = result.scenario
    yield f"{scenario.name}: {scenario.title}"
    yield f"{machine.words}; {result.rounds} rounds"
    if machine.busy:
        yield f"NOT QUIET: load {machine.load:.1f} before the first round; the figures are worth little"
    if result.size.small:
        yield "SMALL: shows that everything works; the figures mean nothing"
    for figure in scenario.figures(result.size):
        yield ""
        best = "more is better" if figure.more_is_better else "less is better"
        yield f"{figure.words}, {figure.unit} ({best})"
        first = result.contenders[0].name if result.contenders else ""
        yield f"  {'':{_NAME_WIDTH}}{'median':>12}{'least':>12}{'most':>12}   of {first}"
        for contender in result.contenders:
            yield _line(result, contender, figure)
    yield ""
    yield from _remarks(result)


def _line(result: Result, contender: Contender, figure: Figure) -> str:
    samples, median = contender.samples(figure.key), contender.median(figure.key)
    if median is None:
        return f"  {contender.name:{_NAME_WIDTH}}{'none':>12}"
    ratio = result.ratio(contender, figure.key)
    share = "" if ratio is None else f"{ratio:.2f}"
    numbers = "".join(f"{_number(value):>12}" for value in (median, min(samples), max(samples)))
    return f"  {contender.name:{_NAME_WIDTH}}{numbers}   {share}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def _remarks(result: Result) -> Iterator[str]:
    for contender in result.contenders:
        yield f"{contender.name}: {contender.version}"
        if contender.faults:
            yield f"  DELIVERIES WRONG in {sum(bool(o.faults) for o in contender.outcomes)} of {result.rounds} rounds"
            yield from (f"    {fault}" for fault in contender.faults[:_SHOWN_FAULTS])
        if contender.generator_share:
            yield f"  the load generator used {contender.generator_share:.0%} of a core at most"
        if contender.server_to_generator is not None:
            yield f"  the server used at least {contender.server_to_generator:.1f} times the CPU of the load generator"
        if contender.generator_was_the_limit:
            yield f"  the load generator may have been the limit: {', '.join(contender.generator_was_the_limit)}"
    for name, lack in result.absent.items():
        yield f"{name}: left out, it needs {lack}"
