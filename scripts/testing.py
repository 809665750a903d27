"""`manage.py test`: runs pytest under coverage, services in child processes included, then judges the coverage."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from scripts import system_packages
from scripts.coverage_gate import Demand, judge
from scripts.environment import ROOT
from scripts.exit_codes import DONE, FAILED
from scripts.processes import run_to_the_end

_BETWEEN_SERVICES: Final = (
    "tests/conformance",
    "tests/deploy",
    "tests/docs",
    "tests/fuzz",
    "tests/integration",
    "tests/protocol",
    "tests/frontend",
    "tests/benchmarks",
)
_PATHS: Final = {
    "unit": ("tests/unit",),
    "quick": ("tests/unit", *_BETWEEN_SERVICES),
    "integration": _BETWEEN_SERVICES,
    "deploy": ("tests/deploy",),
    "e2e": ("tests/e2e",),
    "all": ("tests",),
}
_CHOSEN: Final = {"quick": ("-m", "not slow")}
# Containers take minutes to build.
_CONTAINERS: Final = "tests/deploy/containers"
_WITH_CONTAINERS: Final = ("deploy", "all")
_WITHOUT_CONTAINERS: Final = ("quick", "integration")
# Test processes at once. Tests wait for others for half of their time, and start several services each: more than the machine
# has cores makes them late.
_LEAST_AT_ONCE: Final = 2
_MOST_AT_ONCE: Final = 4
_SLOWEST_SHOWN: Final = 30
# Unit tests alone must cover each core; everything together must cover the rest.
_DEMANDS: Final = {
    "unit": Demand.CORES,
    "quick": Demand.CORES,
    "integration": Demand.NOTHING,
    "e2e": Demand.NOTHING,
    "deploy": Demand.NOTHING,
    "all": Demand.EVERYTHING,
}


def run_tests(suite: str, arguments: Sequence[str]) -> int:
    """Run tests.

    Args:
        suite: `unit`, `quick`, `integration`, `e2e`, `deploy` or `all`.
        arguments: For pytest; with any, tests are run one after the other, and coverage is shown and not judged.

    Returns:
        The exit code: pytest's, or 1 if it passed and the coverage is too low.
    """
    if suite in ("quick", "integration", "deploy", "all"):
        system_packages.prepare()
    if suite in ("e2e", "all"):
        system_packages.prepare_browsers()
    if suite in _WITH_CONTAINERS:
        system_packages.prepare_containers()
    demand = Demand.NOTHING if arguments else _DEMANDS[suite]
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder) / "junit.xml"
        code = _pytest(suite, junit, arguments)
        covered = _coverage(Path(folder) / "coverage.json", demand)
        _say(_outcome(junit))
    return code or (DONE if covered else FAILED)


def _pytest(suite: str, junit: Path, arguments: Sequence[str]) -> int:
    _tool("coverage", "erase")
    existing = [path for path in _PATHS[suite] if (ROOT / path).is_dir()]
    if suite in _WITHOUT_CONTAINERS:
        _say(f"left out: {_CONTAINERS}; run `manage.py test deploy` for them")
        existing.append(f"--ignore={_CONTAINERS}")
    given = [] if _names_tests(arguments) else existing
    options = arguments or (f"--numprocesses={_at_once()}", f"--durations={_SLOWEST_SHOWN}")
    return _tool("coverage", "run", "-m", "pytest", f"--junit-xml={junit}", *given, *_CHOSEN.get(suite, ()), *options)


def _at_once() -> int:
    return max(_LEAST_AT_ONCE, min(os.cpu_count() or 1, _MOST_AT_ONCE))


def _names_tests(arguments: Sequence[str]) -> bool:
    """Whether pytest is told which files or tests to run."""
    return any(not text.startswith("-") and (ROOT / text.split("::")[0]).exists() for text in arguments)


def _coverage(report: Path, demand: Demand) -> bool:
    """Show the coverage; return whether it is what is demanded."""
    if _tool("coverage", "combine", "--quiet") != 0:
        _say("coverage: nothing was measured")
        return demand is Demand.NOTHING
    _tool("coverage", "report", "--skip-covered", "--show-missing")
    _tool("coverage", "json", "--quiet", "-o", str(report))
    verdict = judge(json.loads(report.read_text()), demand)
    for line in verdict.lines:
        _say(line)
    return verdict.enough


def _outcome(junit: Path) -> str:
    """Return how many tests came out how, and by name those that did not pass: who sees only the end learns which."""
    if not junit.exists():
        return "tests: none were run"
    report = ElementTree.parse(junit).getroot()  # noqa: S314 - written by our own pytest
    return "\n".join([_counts(report), *_not_passed(report)])


def _not_passed(report: ElementTree.Element) -> Iterator[str]:
    for case in report.iter("testcase"):
        for fault in (found for found in case if found.tag in ("failure", "error")):
            first_line = fault.get("message", "").partition("\n")[0]
            yield f"{fault.tag}: {case.get('classname')}.{case.get('name')}: {first_line}"


def _counts(report: ElementTree.Element) -> str:
    suites = report.iter("testsuite")
    total = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    took_s = 0.0
    for suite in suites:
        took_s += float(suite.get("time", "0"))
        for name in total:
            total[name] += int(suite.get(name, "0"))
    passed = total["tests"] - total["failures"] - total["errors"] - total["skipped"]
    return (
        f"tests: {passed} passed, {total['failures']} failed, {total['errors']} errors, {total['skipped']} skipped"
        f" in {took_s:.0f} s"
    )


def _tool(*arguments: str) -> int:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return run_to_the_end([sys.executable, "-m", *arguments], ROOT, {**os.environ, "PATH": path})


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
