"""`manage.py bench`: installs the servers that Tidewire is measured beside, and runs a benchmark."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from scripts import system_packages
from scripts.environment import ROOT
from scripts.processes import run_to_the_end

_MESSAGE_PATH: Final = "benchmarks.message_path"
_REGRESSION: Final = "benchmarks.regression"
# Benchmarks with a program of their own; every other name is a scenario of the message path.
_OWN_PROGRAMS: Final[Mapping[str, str]] = {
    "verification": "benchmarks.verification",
    "revocation": "benchmarks.revocation",
    "profile": "benchmarks.profiling",
}


def run_bench(arguments: Sequence[str]) -> int:
    """Run a benchmark.

    Args:
        arguments: Its name and its options; without a name all scenarios of the message path.

    Returns:
        Its exit code.
    """
    module, rest = benchmark(arguments)
    if module != _REGRESSION and not {"-h", "--help"} & set(rest):
        system_packages.prepare_benchmarks()
    return run_to_the_end([sys.executable, "-m", module, *rest], ROOT)


def benchmark(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the module that is to run, and its arguments."""
    if "--compare" in arguments:
        return _REGRESSION, arguments
    if arguments and arguments[0] in _OWN_PROGRAMS:
        return _OWN_PROGRAMS[arguments[0]], arguments[1:]
    return _MESSAGE_PATH, arguments
