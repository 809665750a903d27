"""The engine on Redis, and redis-benchmark that calls the same script of the same kind of server."""

from __future__ import annotations

import csv
import resource
import secrets
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Final

import redis
from prometheus_client import CollectorRegistry

from benchmarks.errors import BenchmarkError
from benchmarks.peers.base import free_port, listens
from benchmarks.stores.base import TOPIC, Appending, Store, new_messages
from benchmarks.stores.engine_load import EngineLoad
from benchmarks.usage import cpu_seconds
from service_runtime.redis_address import parse_redis_address
from service_runtime.settings import load_settings
from session_service.adapters.engine_redis.engine import RedisEngine
from session_service.adapters.metrics_prometheus import EngineMetrics
from session_service.adapters.redis_access.commands import APPEND, Names, RedisSettings, append_command
from session_service.settings import SessionSettings

_FIRST_COUNT: Final = 2_000
_DEADLINE_S: Final = 120.0
# redis-benchmark puts random numbers in their place; one alone would hit the same twice, and store nothing then.
_RANDOM: Final = "__rand_int__" * 2
_RANDOM_RANGE: Final = 2**31 - 1


class _OnRedis(Store):
    """A Redis server that writes every change to the disk before it answers."""

    def missing(self) -> str | None:
        """See `Subject.missing`."""
        lacking = [program for program in ("redis-server", "redis-benchmark") if not shutil.which(program)]
        return f"{' and '.join(lacking)} (Debian packages redis-server, redis-tools)" if lacking else None

    def start(self, directory: Path, identities: int = 1) -> None:
        """See `Subject.start`."""
        self._port = free_port()
        words = ["--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""]
        server = self._launch(["redis-server", *words, "--appendonly", "yes", "--appendfsync", "always"], directory)
        self._wait(lambda: listens(self._port), directory, "redis listening")
        self._server_pid = server.pid
        address = parse_redis_address(f"redis://127.0.0.1:{self._port}")
        self._settings = RedisSettings(
            address,
            load_settings(SessionSettings, [], prog="session", description="").retention,
            new_epoch=lambda: secrets.token_urlsafe(9),
        )

    def _with_server(self, append: Callable[[], Appending]) -> Appending:
        """Count the server's CPU time in."""
        before_s = cpu_seconds([self._server_pid])
        done = append()
        used_s = cpu_seconds([self._server_pid]) - before_s
        return Appending(done.messages, done.wall_s, done.cpu_s + used_s)


class RedisStore(_OnRedis):
    """The session service's engine on Redis; its process and the server are counted."""

    name: ClassVar[str] = "tidewire-redis"

    def version(self) -> str:
        """See `Subject.version`."""
        return "the engine on Redis in this process, appendfsync always"

    def start(self, directory: Path, identities: int = 1) -> None:
        """See `Subject.start`."""
        super().start(directory, identities)
        metrics = EngineMetrics(CollectorRegistry())
        self._load = EngineLoad(lambda: RedisEngine(self._settings, metrics=metrics))

    def stop(self) -> None:
        """See `Subject.stop`."""
        self._load.close()
        super().stop()

    def append(self, group: int, seconds: float) -> Appending:
        """See `Store.append`."""
        return self._with_server(lambda: self._load.append(group, seconds))

    def append_at_rate(self, rate: float, seconds: float) -> Sequence[float]:
        """See `Store.append_at_rate`."""
        return self._load.append_at_rate(rate, seconds)


class RedisBenchmark(_OnRedis):
    """redis-benchmark with one connection, a pipeline as long as the group, and the engine's own script."""

    name: ClassVar[str] = "redis-benchmark"

    def version(self) -> str:
        """See `Subject.version`."""
        return "redis-benchmark with the same script, one connection, appendfsync always"

    def start(self, directory: Path, identities: int = 1) -> None:
        """See `Subject.start`."""
        super().start(directory, identities)
        self._names = Names(self._settings.namespace)
        with redis.Redis(port=self._port) as client:
            client.script_load(APPEND.text)
            self._server_run = str(client.info("server")["run_id"])

    def append(self, group: int, seconds: float) -> Appending:
        """See `Store.append`."""
        first = self._run(group, _FIRST_COUNT)
        count = int(first.messages / first.wall_s * seconds)
        return self._with_server(lambda: self._run(group, max(_FIRST_COUNT, count)))

    def _run(self, group: int, count: int) -> Appending:
        """Run redis-benchmark; `wall_s` is its own measure, without its start."""
        options = ["-p", str(self._port), "-c", "1", "-P", str(group), "-n", str(count), "-r", str(_RANDOM_RANGE)]
        before, cpu_before_s = self._stored(), _children_cpu_s()
        done = subprocess.run(
            [b"redis-benchmark", *options, "--csv", *self._command()],
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )
        cpu_s = _children_cpu_s() - cpu_before_s
        stored = self._stored() - before
        if done.returncode != 0 or stored < count:
            raise BenchmarkError(f"redis-benchmark stored {stored} of {count}: {done.stderr[-300:]}")
        rows = list(csv.DictReader(done.stdout.splitlines()))
        return Appending(count, count / float(rows[-1]["rps"]), cpu_s)

    def _command(self) -> list[bytes]:
        """Return the engine's command; its messages have other ids each time, because the random numbers are the same."""
        message = next(new_messages())._replace(id=f"{secrets.token_hex(4)}-{_RANDOM}")
        words = append_command(self._names, self._settings, "PUBLISH", message).words
        return [part if isinstance(part, bytes) else str(part).encode() for part in (*words, self._server_run, 1)]

    def _stored(self) -> int:
        with redis.Redis(port=self._port) as client:
            return int(client.hget(self._names.key(TOPIC, "meta"), "head") or 0)


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
