"""What the hot functions cost when it was last agreed to, for each version of Python, and what is dearer now."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).resolve().parents[1] / "baseline.json"
# Ratios to the yardstick differ by so much between runs and machines without any change of the code.
TOLERANCE: Final = 0.25


@dataclass(frozen=True)
class Comparison:
    """One function then and now, in yardsticks.

    Args:
        name: Of the function.
        before: What it cost; None: it is new.
        now: What it costs; None: it is gone.
    """

    name: str
    before: float | None
    now: float | None

    @property
    def change(self) -> float | None:
        """How much dearer it is: 0.1 for a tenth; None if it is new or gone."""
        return None if self.before is None or self.now is None else self.now / self.before - 1

    @property
    def failed(self) -> bool:
        """It is dearer than the tolerance allows, or the baseline does not fit the functions that there are."""
        return self.change is None or self.change > TOLERANCE


def this_python() -> str:
    """Return the version that a baseline is kept for, such as 3.11."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def read(file: Path, python: str) -> Mapping[str, float] | None:
    """Return the costs by function; None if there are none for this Python."""
    if not file.exists():
        return None
    costs: Mapping[str, float] | None = json.loads(file.read_text())["costs_in_yardsticks"].get(python)
    return costs


def write(file: Path, python: str, costs: Mapping[str, float]) -> None:
    """Replace the costs of one Python; those of others stay."""
    known = json.loads(file.read_text())["costs_in_yardsticks"] if file.exists() else {}
    known[python] = {name: round(cost, 5) for name, cost in costs.items()}
    file.write_text(json.dumps({"costs_in_yardsticks": known}, indent=1, sort_keys=True) + "\n")


def compared(before: Mapping[str, float], now: Mapping[str, float]) -> list[Comparison]:
    """Return all functions of either, those of now first."""
    names = [*now, *(name for name in before if name not in now)]
    return [Comparison(name, before.get(name), now.get(name)) for name in names]


def table(comparisons: list[Comparison]) -> str:
    """Return a line for each function."""
    return "\n".join(_lines(comparisons)) + "\n"


def _lines(comparisons: list[Comparison]) -> Iterator[str]:
    width = max(len(each.name) for each in comparisons)
    yield f"{'cost in yardsticks':{width}}{'before':>10}{'now':>10}{'change':>10}"
    for each in comparisons:
        yield f"{each.name:{width}}{_number(each.before)}{_number(each.now)}{_percent(each.change)}  {_remark(each)}".rstrip()
    failed = sum(each.failed for each in comparisons)
    yield f"{failed} of {len(comparisons)} over the tolerance of {TOLERANCE:.0%}" if failed else "none is dearer"


def _number(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.4f'):>10}"


def _percent(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '+.0%'):>10}"


def _remark(each: Comparison) -> str:
    if each.before is None:
        return "NEW: not in the baseline"
    if each.now is None:
        return "GONE: only in the baseline"
    return "DEARER" if each.failed else ""
