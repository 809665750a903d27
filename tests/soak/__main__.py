"""`python -m tests.soak`: keeps real services at a part of what they can do, with churn; fails if anything grows or is lost.

What is looked at: memory, open files and tasks of each service; and latency, after the warm-up and at the end, beside that of
services that rested between. After the warm-up, a sixth of the time, growth beyond 5 % fails. Exit codes: 0 nothing wrong, 1
something is, 2 wrong use.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from service_runtime import garbage
from service_runtime.open_files import raise_limit
from tests.soak.plan import Plan
from tests.soak.report import Report
from tests.soak.run import soak

PASSED, FAILED = 0, 1
LEAST_MINUTES = 1.0


def parser() -> argparse.ArgumentParser:
    """Return what reads the flags."""
    made = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__, allow_abbrev=False)
    made.add_argument(
        "--minutes",
        type=float,
        default=60.0,
        help="warm-up included, comparisons not; at least 1; default: 60",
    )
    made.add_argument(
        "--share", type=float, default=0.7, help="of what the system can do, by a calibration; default: 0.7"
    )
    made.add_argument("--rate", type=float, default=0.0, help="messages a second, instead of a calibration")
    made.add_argument("--channels", type=int, default=10)
    made.add_argument("--members", type=int, default=10, help="of each channel")
    made.add_argument("--churn", type=float, default=0.5, help="seconds between two of each kind; default: 0.5")
    made.add_argument("--store", choices=("sqlite", "redis"), default="sqlite")
    made.add_argument(
        "--comparison",
        type=float,
        default=0.4,
        help="length of each of two comparisons, as a share of the minutes; 0: only tell of latency; default: 0.4",
    )
    made.add_argument("--directory", type=Path, help="for state and logs, which are kept; default: one that is removed")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the whole report there, with all samples")
    return made


def plan_of(options: argparse.Namespace) -> Plan:
    """Return what the flags ask for.

    Raises:
        ValueError: They do not make sense.
    """
    if options.minutes < LEAST_MINUTES:
        raise ValueError(f"--minutes: at least {LEAST_MINUTES:g}")
    if not 0 < options.share <= 1:
        raise ValueError("--share: more than 0, at most 1")
    if not 0 <= options.comparison <= 1:
        raise ValueError("--comparison: 0 to 1")
    if options.rate < 0 or min(options.channels, options.members) < 1 or options.churn <= 0:
        raise ValueError("--rate, --channels, --members, --churn: no negative numbers, at least one of each")
    if options.store == "redis" and shutil.which("redis-server") is None:
        raise ValueError("there is no redis-server on this machine")
    return Plan(
        minutes=options.minutes,
        share=options.share,
        rate=options.rate,
        channels=options.channels,
        members=options.members,
        churn_s=options.churn,
        comparison=options.comparison,
        redis=options.store == "redis",
    )


def main(arguments: Sequence[str]) -> int:
    """Run, print and write the report, and return the exit code."""
    flags = parser()
    options = flags.parse_args(arguments)
    try:
        plan = plan_of(options)
    except ValueError as wrong:
        flags.error(str(wrong))
    raise_limit()
    with _directory(options.directory) as directory:
        try:
            report = asyncio.run(_interruptible(plan, directory, _say))
        except AssertionError as failure:
            _say(str(failure))
            return FAILED
        except (KeyboardInterrupt, asyncio.CancelledError):
            _say("interrupted")
            return FAILED
    sys.stdout.write(report.as_text() + "\n")
    if options.json is not None:
        options.json.write_text(report.as_json())
    return PASSED if report.passed else FAILED


async def _interruptible(plan: Plan, directory: Path, tell: Callable[[str], None]) -> Report:
    """Run; SIGTERM ends it in order, with everything that it started."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    garbage.spare_what_is_there()
    collecting = asyncio.create_task(garbage.collect_at_times())
    try:
        return await soak(plan, directory, tell)
    finally:
        collecting.cancel()


def _say(line: str) -> None:
    sys.stderr.write(f"soak: {line}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    if given is None:
        with tempfile.TemporaryDirectory(prefix="soak-") as name:
            yield Path(name)
    else:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
