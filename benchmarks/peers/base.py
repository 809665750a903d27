"""What a benchmark needs of a server: start and stop it, know its processes, and speak its frames."""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.errors import BenchmarkError
from benchmarks.load.plan import Client, Frame

START_DEADLINE_S: Final = 60.0
_STOP_DEADLINE_S: Final = 10.0
_POLL_S: Final = 0.02
# Below the usual range of outgoing connections, of which the generator needs many.
_PORTS: Final = range(20_000, 32_000)


class Subject(ABC):
    """Something on this machine that is measured, with its files in a folder and perhaps processes of its own.

    Attributes:
        name: Short, as on the command line.
    """

    name: ClassVar[str]

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    @abstractmethod
    def missing(self) -> str | None:
        """Return what is not installed here, in words, or None."""

    @abstractmethod
    def version(self) -> str:
        """Return its version, and what is special about how it is run."""

    @abstractmethod
    def start(self, directory: Path, identities: int = 1) -> None:
        """Start it, and return when it serves.

        Args:
            directory: Its own, empty.
            identities: How many different credentials the clients are to have, where it knows credentials.

        Raises:
            BenchmarkError: it does not start.
        """

    def stop(self) -> None:
        """End all its processes; idempotent."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(_STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def _launch(
        self, command: Sequence[str], directory: Path, variables: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process of this server, with what it says in a file of its folder."""
        with self._log(directory).open("ab") as log:
            process = subprocess.Popen(
                command, cwd=directory, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._processes.append(process)
        return process

    def _wait(self, condition: Callable[[], bool], directory: Path, what: str) -> None:
        """Wait until it has started as far as `condition` says.

        Raises:
            BenchmarkError: it ended, or takes too long.
        """
        end_s = time.monotonic() + START_DEADLINE_S
        while not condition():
            ended = any(process.poll() is not None for process in self._processes)
            if ended or time.monotonic() > end_s:
                log = self._log(directory).read_text(errors="replace")[-1500:]
                raise BenchmarkError(f"{self.name}: {'ended' if ended else 'not in time'}: {what}\n{log}")
            time.sleep(_POLL_S)

    def _log(self, directory: Path) -> Path:
        return directory / f"{self.name}.log"


class Peer(Subject):
    """A server on free ports.

    Attributes:
        publisher_is_member: Whether who publishes to a channel is one of its members, and gets its own messages.
        confirms: Whether it answers each message that it has taken.
        apart: Parts whose CPU is told apart from the server's own: stores that run as processes.
    """

    publisher_is_member: ClassVar[bool] = False
    confirms: ClassVar[bool] = False
    apart: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def subscriber(self, number: int, channels: Sequence[str]) -> Client:
        """Return a client that is member of channels, which may be none.

        Args:
            number: Different for each client.
            channels: Their names: letters, digits and `-`.
        """

    @abstractmethod
    def publisher(self, number: int, channel: str) -> Client:
        """Return a client that publishes to a channel."""

    @abstractmethod
    def message(self, channel: str, text: str) -> Frame:
        """Return what a publisher sends so that members of the channel get `text`."""

    @abstractmethod
    def parts(self) -> Mapping[str, int]:
        """Return the first process of each of its parts."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def listens(port: int) -> bool:
    """Whether a server accepts connections on a port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
