"""`manage.py check`: everything that can be proved without a running service. All checks run, also when one fails."""

from __future__ import annotations

import enum
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final, Self

from scripts import asyncapi, buf, contracts
from scripts.environment import ROOT, SetupError
from scripts.exit_codes import DONE, FAILED
from scripts.npm_tool import Answer


class Verdict(enum.Enum):
    """How a check came out."""

    PASSED = "ok"
    FAILED = "FAILED"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Outcome:
    """How a check came out.

    Args:
        verdict: In a word.
        words: Why, in a few; may be empty.
        output: What to read when it failed.
    """

    verdict: Verdict
    words: str = ""
    output: str = ""


@dataclass(frozen=True)
class Check:
    """One check.

    Args:
        name: Short.
        run: Runs it.
    """

    name: str
    run: Callable[[], Outcome]


def run_checks() -> int:
    """Run all checks and say how each came out; return 1 if any failed."""
    outcomes = [_report(check) for check in CHECKS]
    failed = sum(outcome.verdict is Verdict.FAILED for outcome in outcomes)
    sys.stdout.write(
        f"{failed} of {len(outcomes)} checks failed\n" if failed else f"all {len(outcomes)} checks are fine\n"
    )
    return FAILED if failed else DONE


def fix() -> None:
    """Format, repair what the linter can, and generate again."""
    _module("ruff", "check", "--fix", "--quiet", ".")
    _module("ruff", "format", "--quiet", ".")
    contracts.generate()
    from scripts import frames_typescript

    frames_typescript.write()
    for reference in _references().values():
        reference.write()


def _report(check: Check) -> Outcome:
    began_s = time.monotonic()
    try:
        outcome = check.run()
    except SetupError as error:
        outcome = Outcome(Verdict.FAILED, output=str(error))
    words = f": {outcome.words}" if outcome.words else ""
    took_s = time.monotonic() - began_s
    sys.stdout.write(f"{outcome.verdict.value:<8} {check.name}{words} ({took_s:.1f} s)\n")
    if outcome.verdict is Verdict.FAILED and outcome.output:
        sys.stdout.write("".join(f"         {line}\n" for line in outcome.output.strip().splitlines()))
    sys.stdout.flush()
    return outcome


def _module(*arguments: str) -> Outcome:
    """Run a tool of the environment in the root of the checkout; its exit code decides."""
    result = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return _decided(result.returncode == 0, result.stdout)


def _decided(passed: bool, output: str) -> Outcome:
    return Outcome(Verdict.PASSED) if passed else Outcome(Verdict.FAILED, output=output)


def _import_arrows() -> Outcome:
    # The command of import-linter lies beside the interpreter; it has no module to run.
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo"]
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return _decided(result.returncode == 0, result.stdout)


def _generated_code() -> Outcome:
    files = contracts.stale()
    listed = "\n".join(f"stale: protos/{file}" for file in files)
    return _decided(not files, f"{listed}\nrun: python3 scripts/generate_contracts.py")


def _frame_types() -> Outcome:
    from scripts import frames_typescript

    name = frames_typescript.FILE.relative_to(ROOT)
    return _decided(frames_typescript.is_fresh(), f"stale: {name}\nrun: python3 scripts/generate_contracts.py")


@dataclass(frozen=True)
class _Reference:
    """A document that a module makes out of sources: where it is, whether it is what they say, what writes it."""

    file: Path
    is_fresh: Callable[[], bool]
    write: Callable[[], None]

    @classmethod
    def of(cls, module: ModuleType) -> Self:
        return cls(module.FILE, module.is_fresh, module.write)


def _references() -> Mapping[str, _Reference]:
    from scripts import (
        figures,
        frames_asyncapi,
        frames_reference,
        grpc_reference,
        metrics_reference,
        settings_reference,
    )

    modules = {
        "settings": settings_reference,
        "metrics": metrics_reference,
        "frames": frames_reference,
        "AsyncAPI": frames_asyncapi,
        "gRPC": grpc_reference,
        "plots": figures,
    }
    return {name: _Reference.of(module) for name, module in modules.items()}


def _fresh(name: str) -> Callable[[], Outcome]:
    def run() -> Outcome:
        reference = _references()[name]
        file = reference.file.relative_to(ROOT)
        return _decided(reference.is_fresh(), f"stale: {file}\nrun: python3 scripts/manage.py check --fix")

    return run


def _asked(question: Callable[[], Answer]) -> Callable[[], Outcome]:
    def run() -> Outcome:
        answer = question()
        if answer.skipped:
            return Outcome(Verdict.SKIPPED, answer.words)
        return Outcome(Verdict.PASSED if answer.passed else Verdict.FAILED, answer.words, answer.output)

    return run


CHECKS: Final[Sequence[Check]] = (
    Check("format", lambda: _module("ruff", "format", "--check", ".")),
    Check("lint", lambda: _module("ruff", "check", ".")),
    Check("types", lambda: _module("mypy")),
    Check("import arrows", _import_arrows),
    Check("generated code is fresh", _generated_code),
    Check("frame types of the browser are fresh", _frame_types),
    Check("settings reference is fresh", _fresh("settings")),
    Check("metrics reference is fresh", _fresh("metrics")),
    Check("reference of frames is fresh", _fresh("frames")),
    Check("AsyncAPI document is fresh", _fresh("AsyncAPI")),
    Check("AsyncAPI document is valid", _asked(asyncapi.validate)),
    Check("reference of gRPC is fresh", _fresh("gRPC")),
    Check("plots of the figures are fresh", _fresh("plots")),
    Check("contracts: style and comments", _asked(buf.lint)),
    Check("contracts: no breaking change", _asked(buf.breaking)),
)
