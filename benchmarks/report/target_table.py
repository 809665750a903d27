"""Which targets a run has met, as text and for the JSON file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from benchmarks.targets import Judgement

_VERDICTS: Final = {True: "met", False: "MISSED", None: "not known"}


def target_table(judgements: Sequence[Judgement]) -> str:
    """Return a line for each target; empty if there are none."""
    return "\n".join(_lines(judgements)) + "\n" if judgements else ""


def target_values(judgements: Sequence[Judgement]) -> list[dict[str, Any]]:
    """Return the same as JSON values."""
    return [
        {
            "scenario": each.target.scenario,
            "figure": each.target.figure,
            "of": each.target.subject,
            "target": each.target.words,
            "bound": each.bound,
            "found": each.found,
            "met": each.met,
        }
        for each in judgements
    ]


def _lines(judgements: Sequence[Judgement]) -> Iterator[str]:
    met = sum(each.met is True for each in judgements)
    yield f"targets: {met} of {len(judgements)} met"
    named = [(f"{each.target.scenario} ({each.target.subject}): {each.words}", each) for each in judgements]
    width = max(len(name) for name, _ in named)
    yield f"  {'':{width}}{'found':>12}{'bound':>12}   {'':10}target"
    for name, each in named:
        yield (
            f"  {name:{width}}{_number(each.found):>12}{_number(each.bound):>12}"
            f"   {_VERDICTS[each.met]:10}{each.target.words}"
        )


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
