"""One real Redis with an append-only file: started on a free port, killed, frozen, and started again on its port."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from tests.support.ports import free_port
from tests.support.redis_access import RedisAccess
from tests.support.requirements import skip_without
from tests.support.waiting import wait_until

PROGRAM = "redis-server"
START_DEADLINE_S = 40.0
STOP_DEADLINE_S = 30.0
COMMAND_TIMEOUT_S = 15.0
FILLERS = 500


class RedisServer:
    """`redis-server` that writes every change to the disk before it answers. Skips the test where there is none.

    Args:
        directory: For its files and its log.
        options: More lines of its configuration, `{"maxmemory": "1mb"}`.
        access: TLS and password.
    """

    def __init__(
        self, directory: Path, options: dict[str, str] | None = None, access: RedisAccess | None = None
    ) -> None:
        if shutil.which(PROGRAM) is None:
            skip_without(PROGRAM)
        self.directory = directory
        self.port = free_port()
        self.log_file = directory / "redis.log"
        self.access = access or RedisAccess()
        self.options = {"appendonly": "yes", "appendfsync": "always", "save": "", **(options or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False

    @property
    def url(self) -> str:
        return self.access.url(self.place)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def unix_url(self) -> str:
        """Its URL by the Unix socket that its options name."""
        password = f":{self.access.password}@" if self.access.password else ""
        return f"unix://{password}{self.options['unixsocket']}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def answering(self) -> bool:
        """Whether it runs and is not frozen."""
        return self.running and not self._frozen

    def start(self) -> None:
        """Start it, and return when it answers."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start it without waiting."""
        assert not self.running
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, *self.arguments()], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def launch_slowly(self, seconds: float) -> None:
        """Start it without waiting, so that it takes about so long to load what it has; see `prepare_slow_launch`."""
        delay_us = str(int(seconds * 1_000_000 / FILLERS))
        before = self.options
        self.options = {**before, "key-load-delay": delay_us, "loading-process-events-interval-bytes": "1024"}
        self.launch()
        self.options = before

    def prepare_slow_launch(self) -> None:
        """Give it many keys, where they are loaded one by one; to be called before it ends."""
        self.command("EVAL", "for n = 1, ARGV[1] do redis.call('SET', 'filler:' .. n, 'filler') end", 0, FILLERS)
        self.command("BGREWRITEAOF")
        wait_until(lambda: self.info("persistence")["aof_rewrite_in_progress"] == "0", what="the file is rewritten")

    def wait_ready(self) -> None:
        """Return when it answers."""
        wait_until(lambda: self._answers() or not self.running, START_DEADLINE_S, f"{PROGRAM} answers")
        assert self.running, f"{PROGRAM} ended:\n{self.log_file.read_text(errors='replace')[-2000:]}"

    def arguments(self) -> list[str]:
        """Return what stands behind the program's name."""
        where = {"bind": "127.0.0.1", "dir": str(self.directory)}
        lines = {**where, **self.access.listening(self.port), **self.options}
        return [word for name, value in lines.items() for word in (f"--{name}", value)]

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

    def command(self, *words: str | bytes | int) -> Any:
        """Run a command on a connection of its own; return the answer as Redis gives it, its text as `str`."""
        pool = ConnectionPool.from_url(
            self.url,
            protocol=2,
            decode_responses=True,
            socket_timeout=COMMAND_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        connection = pool.make_connection()
        try:
            connection.send_command(*words)
            return connection.read_response()
        finally:
            connection.disconnect()

    def info(self, section: str) -> dict[str, str]:
        """Return a section of `INFO`, by the names that stand there."""
        lines = str(self.command("INFO", section)).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def loads(self) -> bool:
        """Return whether it is there and still loads its data."""
        try:
            return self.info("persistence").get("loading") == "1"
        except RedisError:
            return False

    def _answers(self) -> bool:
        # An answer that is an error, for want of a password of the test's own, is one too; not so that it still loads.
        try:
            return bool(self.command("PING"))
        except RedisError as error:
            return str(error).startswith(("NOAUTH", "WRONGPASS", "Authentication"))
