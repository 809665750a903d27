"""One real Redis with an append-only file: started on a free port, killed, frozen, and started again on its port."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from tests.support.requirements import skip_without
from tests.support.waiting import wait_until

PROGRAM = "redis-server"
# Below the usual range of outgoing connections, and with room for the port of a cluster, 10,000 above.
PORTS = range(20_000, 32_000)
START_DEADLINE_S = 15.0
STOP_DEADLINE_S = 10.0


def free_port() -> int:
    """Return a port that nobody listens on.

    Not one of those that the system gives to outgoing connections: while the server is dead, a client that tries again
    and again would at last be given that very port, and be connected with itself.
    """
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class RedisServer:
    """`redis-server` that writes every change to the disk before it answers. Skips the test where there is none.

    Args:
        directory: For its files and its log.
        options: More lines of its configuration, `{"requirepass": "x"}`.
    """

    def __init__(self, directory: Path, options: dict[str, str] | None = None) -> None:
        if shutil.which(PROGRAM) is None:
            skip_without(PROGRAM)
        self.directory = directory
        self.port = free_port()
        self.log_file = directory / "redis.log"
        self._options = {"appendonly": "yes", "appendfsync": "always", "save": "", **(options or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and return when it answers."""
        assert not self.running
        self.directory.mkdir(parents=True, exist_ok=True)
        arguments = [word for name, value in self._options.items() for word in (f"--{name}", value)]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: self._answers() or not self.running, START_DEADLINE_S, f"{PROGRAM} answers")
        assert self.running, f"{PROGRAM} ended:\n{self.log_file.read_text(errors='replace')[-2000:]}"

    def kill9(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(STOP_DEADLINE_S)
        self._frozen = False

    def restart(self) -> None:
        """Crash if it runs, and come back on the same port with what was on the disk."""
        if self.running:
            self.kill9()
        self.start()

    def freeze(self) -> None:
        """Stop it from answering, without closing its connections."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self._frozen = False

    def stop(self) -> None:
        """End it in order; idempotent."""
        if self._process is None or not self.running:
            return
        if self._frozen:
            self.thaw()
        self._process.terminate()
        self._process.wait(STOP_DEADLINE_S)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                # An answer that is an error, for want of a password, is one too; not so that it still loads.
                answer = connection.recv(64)
                return bool(answer) and not answer.startswith(b"-LOADING")
        except OSError:
            return False
