"""`python -m tests.ledger`: proves that nothing confirmed is lost, doubled or moved, whatever is killed or cut meanwhile.

Exit codes: 0 nothing wrong, 1 something is, 2 wrong use.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.ledger.report import Report
from tests.ledger.run import NobodyJoined, Plan, run
from tests.ledger.self_check import LedgerIsBlind, self_check
from tests.ledger.system import Size, System
from tests.ledger.wire import Account
from tests.ledger.world import Running

KEY_VARIABLE = "TIDEWIRE_API_KEY"
KILL_EVERY_S = 5.0
DOORS = 20
PASSED, FAILED, WRONG_USE = 0, 1, 2


def parser() -> argparse.ArgumentParser:
    """Return what reads the flags."""
    made = argparse.ArgumentParser(prog="python -m tests.ledger", description=__doc__, allow_abbrev=False)
    load = made.add_argument_group("load")
    load.add_argument("--clients", type=int, default=200)
    load.add_argument("--channels", type=int, default=20)
    load.add_argument("--rate", type=float, default=100.0, help="messages per second, all clients together")
    load.add_argument("--seconds", type=float, default=300.0)
    load.add_argument("--seed", type=int, help="of all chance; printed when it is not given")
    own = made.add_argument_group("a system that the run starts")
    own.add_argument("--edges", type=int, default=3)
    own.add_argument("--sessions", type=int, help="default: 2, on SQLite 1")
    own.add_argument("--auths", type=int, help="default: 2, on SQLite 1")
    own.add_argument("--store", choices=("redis", "sqlite"), default="redis")
    own.add_argument("--kill-every", type=float, help=f"seconds; 0: none; default: {KILL_EVERY_S:g}, with --cut 0")
    own.add_argument("--at-once", type=int, default=1, help="processes that are killed each time")
    own.add_argument("--freeze", type=float, default=0.0, help="seconds; every second time freeze instead of kill")
    own.add_argument("--cut", type=cut, metavar="FRACTION:SECONDS", help="cut connections of so many, for so long")
    own.add_argument("--directory", type=Path, help="for state and logs, which are kept; default: one that is removed")
    given = made.add_argument_group("a system that runs, where nothing is started and nothing is killed")
    given.add_argument("--url", action="append", default=[], help="ws://host:port of an edge; several times")
    given.add_argument("--key-file", type=Path, help=f"with the API key; default: the variable {KEY_VARIABLE}")
    given.add_argument("--domain", default="ledger")
    given.add_argument("--workspace", default="ledger")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the whole report there")
    made.add_argument("--self-check", action="store_true", help="only see if the ledger finds faults that it is given")
    return made


def cut(text: str) -> tuple[float, float]:
    """Read `0.3:2`."""
    fraction, seconds = (float(part) for part in text.split(":"))
    if not (0 < fraction <= 1 and seconds > 0):
        raise ValueError(text)
    return fraction, seconds


def main(arguments: Sequence[str]) -> int:
    """Run, print and write the report, and return the exit code."""
    flags = parser()
    options = flags.parse_args(arguments)
    if options.self_check:
        return check_itself()
    plan = plan_of(options)
    with directory_of(options) as directory:
        try:
            world = world_of(options, plan, directory)
        except ValueError as wrong:
            flags.error(str(wrong))
        sys.stdout.write(f"seed {plan.seed}\n")
        return go(plan, world, options.json)


def go(plan: Plan, world: System | Running, json_file: Path | None) -> int:
    """Carry the plan out, and tell what came of it."""
    try:
        report = asyncio.run(interruptible(plan, world))
    except (NobodyJoined, LedgerIsBlind, AssertionError) as failure:
        sys.stderr.write(f"ledger: {failure}\n")
    except ExceptionGroup as failures:
        sys.stderr.write(f"ledger: {'; '.join(str(failure) for failure in failures.exceptions)}\n")
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("ledger: interrupted\n")
    else:
        sys.stdout.write(report.as_text() + "\n")
        if json_file is not None:
            json_file.write_text(report.as_json())
        return PASSED if report.passed else FAILED
    return FAILED


def check_itself() -> int:
    """Run the self-check alone."""
    try:
        for found in self_check():
            sys.stdout.write(f"found: {found}\n")
    except LedgerIsBlind as failure:
        sys.stderr.write(f"ledger: {failure}\n")
        return FAILED
    return PASSED


def plan_of(options: argparse.Namespace) -> Plan:
    """Return what the flags ask for."""
    kill_every_s = options.kill_every
    if kill_every_s is None:
        kill_every_s = 0.0 if options.cut or options.url else KILL_EVERY_S
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    return Plan(
        clients=options.clients,
        channels=options.channels,
        rate=options.rate,
        seconds=options.seconds,
        seed=seed,
        kill_every_s=kill_every_s,
        at_once=options.at_once,
        freeze_s=options.freeze,
        cut=options.cut,
    )


@contextlib.contextmanager
def directory_of(options: argparse.Namespace) -> Iterator[Path]:
    """Yield the folder of state and logs."""
    if options.directory is None:
        with tempfile.TemporaryDirectory(prefix="ledger-") as name:
            yield Path(name)
    else:
        options.directory.mkdir(parents=True, exist_ok=True)
        yield options.directory.resolve()


def world_of(options: argparse.Namespace, plan: Plan, directory: Path) -> System | Running:
    """Return the system to talk to.

    Raises:
        ValueError: Flags that do not go together, a missing key, or no Redis on this machine.
    """
    if options.url:
        if options.kill_every or options.cut:
            raise ValueError("--kill-every and --cut need a system that the run starts: not with --url")
        return Running(options.url, Account(api_key(options.key_file), options.domain, options.workspace))
    one_of_each = options.store == "sqlite"
    size = Size(
        options.edges,
        options.sessions or (1 if one_of_each else 2),
        options.auths or (1 if one_of_each else 2),
        options.store,
    )
    if size.store == "redis" and shutil.which("redis-server") is None:
        raise ValueError("there is no redis-server on this machine; try --store sqlite")
    return System(directory, size, DOORS if plan.cut else 0)


def api_key(file: Path | None) -> str:
    """Return the key, from a file or the environment: processes of a machine can read arguments."""
    try:
        key = os.environ.get(KEY_VARIABLE, "") if file is None else file.read_text()
    except OSError as problem:
        raise ValueError(f"--key-file: {problem.strerror}") from None
    if not key.strip():
        raise ValueError(f"--url needs a key: --key-file, or the variable {KEY_VARIABLE}")
    return key.strip()


async def interruptible(plan: Plan, world: System | Running) -> Report:
    """Run; SIGTERM ends it in order, with everything that it started."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run(plan, world)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
