"""Programs of others that tests start: found, started until they answer, and ended."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.ports import free_port
from tests.support.requirements import skip_without
from tests.support.waiting import wait_until

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 30.0
# For nginx, of a user that is not root: where it may write.
NGINX_FOLDERS = "".join(f"    {name}_temp_path tmp;\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))


def find_program(name: str) -> str:
    """Return the program: from the Python environment of the tests, or of the system; without it the test is skipped."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        skip_without(name)
    return found


def listens(port: int) -> bool:
    """Return whether anybody listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class ListeningProgram:
    """A program on a free port of 127.0.0.1; its subclasses know the command.

    Args:
        name: For its log and for messages.
        folder: Where it runs, with its configuration and log.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.port = free_port()
        self._folder = folder
        self._log_file = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and return when it answers."""
        command, variables = self._command()
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env={**os.environ, **variables}, stdout=log, stderr=log
            )
        wait_until(lambda: self._answers() or not self.running, START_DEADLINE_S, f"{self.name} answers")
        assert self.running, self.log()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STOP_DEADLINE_S)

    def log(self) -> str:
        return self._log_file.read_text(errors="replace")

    def _answers(self) -> bool:
        return listens(self.port)

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """Return the command, whose configuration is in place, and what is added to the environment."""
        raise NotImplementedError
