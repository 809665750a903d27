"""The benchmarks of the message path: Tidewire beside other servers on the same work."""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.errors import BenchmarkError
from benchmarks.load.program import missing
from benchmarks.peers.catalogue import SUBJECTS, chosen
from benchmarks.report import json_file, plot
from benchmarks.report.machine import this_machine
from benchmarks.report.table import table
from benchmarks.report.target_table import target_table
from benchmarks.rounds import Result, run_rounds
from benchmarks.scenarios import connect, fanout, growth, latency, memory, publish, rooms, storage
from benchmarks.scenarios.base import FULL, SMALL, Scenario
from benchmarks.targets import judged

_MODULES: Final = (fanout, rooms, latency, publish, connect, memory)
SCENARIOS: Final[Mapping[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (*(module.SCENARIO for module in _MODULES), *growth.SCENARIOS, *storage.SCENARIOS)
}
_ROUNDS = 5


def main(argv: Sequence[str]) -> int:
    """Run scenarios and show what they found.

    Args:
        argv: Names of scenarios (none: all) and options.

    Returns:
        0; 1 if Tidewire's deliveries were wrong or nothing can be measured.
    """
    options = _parser().parse_args(argv)
    lack = missing()
    if lack:
        sys.stderr.write(f"nothing can be measured: the load generator needs {lack}\n")
        return 1
    allow_many_files()
    machine = this_machine()
    results: list[Result] = []
    try:
        for name in options.names or SCENARIOS:
            result = _run(SCENARIOS[name], options)
            if result.contenders or result.absent:
                results.append(result)
                print(table(result, machine), flush=True)
    except BenchmarkError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not results:
        sys.stderr.write("nothing to measure: none of the servers named by --only takes part in these scenarios\n")
        return 1
    print(target_table(judged(results)), end="")
    if options.json:
        json_file.write(results, machine, options.json)
        plot.write(results, machine, options.json.with_suffix(".svg"))
    return int(any(_ours_failed(result) for result in results))


def allow_many_files() -> None:
    """Let servers open as many files as this machine allows; they inherit it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _run(scenario: Scenario, options: argparse.Namespace) -> Result:
    names = [name for name in scenario.peers if not options.only or name in options.only]
    rounds = options.rounds or (1 if options.small else _ROUNDS)
    return run_rounds(scenario, chosen(names), rounds, SMALL if options.small else FULL)


def _ours_failed(result: Result) -> bool:
    return any(contender.faults for contender in result.contenders if contender.name.startswith("tidewire"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="manage.py bench", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "names", nargs="*", type=_scenario, metavar="NAME", help=f"of: {', '.join(SCENARIOS)}; none: all"
    )
    parser.add_argument("--rounds", type=_rounds, metavar="N", help=f"default: {_ROUNDS}, with --small 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, and a plot beside it (.svg)")
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes, to see that everything works")
    parser.add_argument("--only", type=_servers, metavar="SERVERS", help=f"with commas, of: {', '.join(SUBJECTS)}")
    return parser


def _scenario(text: str) -> str:
    if text not in SCENARIOS:
        raise argparse.ArgumentTypeError(f"no such scenario: {text}; there are {', '.join(SCENARIOS)}")
    return text


def _servers(text: str) -> list[str]:
    try:
        return [peer.name for peer in chosen(text.split(","))]
    except BenchmarkError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rounds: 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
