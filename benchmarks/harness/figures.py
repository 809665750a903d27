"""Figures of a measurement: percentiles, and a short table or JSON."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One thing that was measured.

    Args:
        name: What.
        value: How much.
        unit: Of what.
        target: What it should be; empty: nothing was promised.
        note: What it was measured on.
    """

    name: str
    value: float
    unit: str
    target: str = ""
    note: str = ""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the flags that every measurement has."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    return parser


def show(figures: Sequence[Figure], *, as_json: bool) -> None:
    """Print figures, with the size of the machine."""
    if as_json:
        print(json.dumps({"cores": os.cpu_count(), "figures": [asdict(figure) for figure in figures]}, indent=1))
        return
    wide = max(len(figure.name) for figure in figures)
    for figure in figures:
        target = f"   target {figure.target}" if figure.target else ""
        note = f"   ({figure.note})" if figure.note else ""
        print(f"{figure.name:<{wide}}  {figure.value:>12,.3f} {figure.unit}{target}{note}")
    print(f"{os.cpu_count()} cores")


def progress(text: str) -> None:
    """Say on standard error what is being done."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
