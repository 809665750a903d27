"""One real service process: started on a free port, killed, stopped, and started again on the port it had."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 30.0


class ServiceProcess:
    """`python -m <module>` with flags, its log in a file.

    Args:
        module: `auth_service`, `session_service` or `ws_edge`.
        directory: For its log and ready file.
        flags: `{"data-dir": ...}` becomes `--data-dir ...`.
        variables: Added to the environment.
        name: Of its files; the module's unless several of one module run.
        port: To listen on; 0: any free one.
        root: The folder of its source; may be changed between an end and the next start.
        launcher: What starts it, e.g. `prlimit --nofile=200`, and becomes it; may be changed likewise.
    """

    def __init__(
        self,
        module: str,
        directory: Path,
        flags: Mapping[str, object],
        variables: Mapping[str, str],
        name: str | None = None,
        port: int = 0,
        root: Path = ROOT,
        launcher: Sequence[str] = (),
    ) -> None:
        self.module = module
        self.name = name or module
        self.port = port
        self.root = root
        self.launcher = launcher
        self.log_file = directory / f"{self.name}.log"
        self._ready_file = directory / f"{self.name}.ready"
        self._flags = dict(flags)
        self._variables = dict(variables)
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and return when it listens: the first time on the port that was asked for, then always on that one."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start without waiting."""
        assert not self.running
        # Not any port that the system gives: while the process is dead, it might give that one to somebody else.
        self.port = self.port or free_port()
        self._ready_file.unlink(missing_ok=True)
        flags = {**self._flags, "host": "127.0.0.1", "port": self.port, "ready-file": self._ready_file}
        arguments = [text for name, value in flags.items() for text in _flag(name, value)]
        path = os.pathsep.join([str(self.root), str(self.root / "protos")])
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.launcher, sys.executable, "-m", self.module, *arguments],
                cwd=self.log_file.parent,
                env={**os.environ, "PYTHONPATH": path, **self._variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def facts(self) -> dict[str, Any]:
        """What the process said of itself when it was ready, e.g. `http_port`."""
        return dict(json.loads(self._ready_file.read_text()))

    def wait_ready(self) -> None:
        """Return when the ready file is there."""
        wait_until(lambda: self._ready_file.exists() or not self.running, START_DEADLINE_S, f"{self.name} is ready")
        assert self.running, f"{self.name} ended with {self.exit_code}:\n{self.log()[-4000:]}"
        self.port = int(self.facts["port"])

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def wait_exit(self) -> int:
        """Return its exit code when it has ended by itself."""
        return self._wait()

    def kill9(self) -> None:
        """End it as a crash does."""
        self._signal(signal.SIGKILL)
        self._wait()

    def restart_after_kill9(self) -> None:
        """Crash, and come back on the same port."""
        self.kill9()
        self.start()

    def freeze(self) -> None:
        """Stop it from answering, without closing its connections."""
        self._signal(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)
        self._frozen = False

    def send_sigterm(self) -> None:
        """Ask it to stop, without waiting."""
        self._signal(signal.SIGTERM)

    def stop(self) -> int:
        """Ask it to stop, and return its exit code; a process that does not stop in time is killed and fails the test."""
        if self._frozen:
            self.thaw()
        if self.running:
            self.send_sigterm()
        return self._wait()

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _wait(self) -> int:
        assert self._process is not None
        try:
            return self._process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"{self.name} did not stop in {STOP_DEADLINE_S} s:\n{self.log()[-4000:]}") from None


def _flag(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, bool):
        return (f"--{name}" if value else f"--no-{name}",)
    return (f"--{name}", str(value))
