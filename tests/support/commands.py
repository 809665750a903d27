"""A command of `scripts/` as a real process: what it says, what runs under it, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.processes import ROOT
from tests.support.waiting import wait_until

START_DEADLINE_S = 80.0
ANY_PORTS = ("--edge-port", "0", "--auth-port", "0", "--session-port", "0")


class Command:
    """`python scripts/<script> ...`, run by this test's Python as it is.

    Args:
        script: `manage.py` or `run_server.py`.
        arguments: Its arguments.
        directory: For its output; it is also where it is run, which must not matter.
        variables: Added to the environment, from which the settings of Tidewire are taken away.
    """

    def __init__(
        self, script: str, *arguments: str, directory: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._out_file = directory / f"{script}.out"
        self._err_file = directory / f"{script}.err"
        with self._out_file.open("wb") as out, self._err_file.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "scripts" / script), *arguments],
                cwd=directory,
                env={**without_settings(), **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def out(self) -> str:
        return self._out_file.read_text()

    @property
    def err(self) -> str:
        return self._err_file.read_text()

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def lines(self, beginning: str) -> list[str]:
        """Return the lines of its output that begin so."""
        return [line for line in self.out.splitlines() if line.startswith(beginning)]

    def wait_for(self, pattern: str, deadline_s: float = START_DEADLINE_S) -> re.Match[str]:
        """Return the first match in its output; fail when it ends without one."""

        def found() -> bool:
            return re.search(pattern, self.out) is not None or not self.running

        wait_until(found, deadline_s, f"the output shows {pattern!r}; it is:\n{self.out}\n{self.err}")
        match = re.search(pattern, self.out)
        assert match, f"ended with {self.process.returncode} without {pattern!r}:\n{self.out}\n{self.err}"
        return match

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, as another process does: its children do not get it."""
        self.process.send_signal(number)

    def finish(self, deadline_s: float = START_DEADLINE_S) -> int:
        """Return its exit code; fail when it does not end in time."""
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not ended within {deadline_s} s:\n{self.out}\n{self.err}") from None

    def kill(self) -> None:
        """End it, if it still runs, with all that it started."""
        children = self.children()
        if self.running:
            self.process.kill()
            self.process.wait()
        for pid in children:
            kill_if_there(pid)

    def children(self) -> list[int]:
        """Return the processes that it started and that run."""
        return [pid for pid in all_pids() if parent_of(pid) == self.process.pid]


class Status:
    """What `manage.py status --json` says of a data folder."""

    def __init__(self, data_dir: Path) -> None:
        result = subprocess.run(
            [sys.executable, str(ROOT / "scripts/manage.py"), "status", "--json", "--data-dir", str(data_dir)],
            env=without_settings(),
            capture_output=True,
            text=True,
            check=False,
        )
        self.exit_code = result.returncode
        self.report: dict[str, Any] = json.loads(result.stdout)

    @property
    def ready(self) -> bool:
        assert self.exit_code == (0 if self.report["ready"] else 1)
        return bool(self.report["ready"])

    def service(self, name: str) -> dict[str, Any]:
        """Return what it says of one service."""
        (found,) = (service for service in self.report["services"] if service["name"] == name)
        return dict(found)


def without_settings() -> dict[str, str]:
    """Return the environment without settings of Tidewire: those of the person who runs the tests must not matter."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TIDEWIRE_")}


def run_script(script: str, *arguments: str, directory: Path, variables: Mapping[str, str] | None = None) -> Command:
    """Run a command that ends by itself."""
    command = Command(script, *arguments, directory=directory, variables=variables)
    try:
        command.finish()
    finally:
        command.kill()
    return command


def all_pids() -> Sequence[int]:
    """Return the ids of all processes of this machine."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def parent_of(pid: int) -> int | None:
    """Return the parent of a process that runs; None for one that has ended, reaped or not."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state in "ZX" else int(parent)


def runs(pid: int) -> bool:
    """Whether a process runs."""
    return parent_of(pid) is not None


def kill_if_there(pid: int) -> None:
    """End a process that may have ended."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
