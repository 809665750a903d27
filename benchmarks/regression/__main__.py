"""`manage.py bench --compare`: are the hot functions of the message path dearer than in the baseline?"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.regression import baseline
from benchmarks.regression.hot_functions import hot_functions
from benchmarks.regression.known_permission import known_permission
from benchmarks.regression.yardstick import ROUNDS, costs

Measure = Callable[[int], Mapping[str, float]]


def measure(rounds: int) -> Mapping[str, float]:
    """Return what each hot function costs, in yardsticks."""

    async def measured() -> Mapping[str, float]:
        async with known_permission() as verifier:
            return costs(hot_functions(verifier), rounds)

    return asyncio.run(measured())


def main(argv: Sequence[str], measure: Measure = measure) -> int:
    """Compare with the baseline, or replace it.

    Args:
        argv: Options.
        measure: Returns the costs after so many rounds.

    Returns:
        0; 1 if a function is dearer, is not in the baseline, or there is no baseline for this Python.
    """
    options = _parser().parse_args(argv)
    now, python = measure(options.rounds), baseline.this_python()
    before = baseline.read(options.baseline, python)
    if before is not None:
        comparisons = baseline.compared(before, now)
        sys.stdout.write(baseline.table(comparisons))
    if options.update:
        baseline.write(options.baseline, python, now)
        sys.stdout.write(f"{options.baseline}: written for Python {python}\n")
        return 0
    if before is None:
        sys.stderr.write(f"{options.baseline} has nothing for Python {python}: write it with --compare --update\n")
        return 1
    return int(any(each.failed for each in comparisons))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="manage.py bench --compare", description=__doc__, allow_abbrev=False)
    parser.add_argument("--compare", action="store_true", help="what this is")
    parser.add_argument("--update", action="store_true", help="write what is measured as the new baseline")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="default: %(default)s")
    parser.add_argument("--baseline", type=Path, default=baseline.FILE, metavar="FILE", help="default: %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
