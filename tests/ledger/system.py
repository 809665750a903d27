"""A whole system as real processes: edges, session and auth services, Redis or SQLite; all on ports that they keep."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.ledger.wire import Account
from tests.support.http_client import http
from tests.support.ports import free_port
from tests.support.processes import ROOT, ServiceProcess
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until

DEVELOPMENT_KEY: Final = "valid-test-key"
READY_DEADLINE_S: Final = 60.0
MAX_STARTS: Final = 10
NO_LIMITS: Final = {"frames-per-second": 0, "bytes-per-second": 0}
LOG_TAIL: Final = 2000


@dataclass(frozen=True)
class Size:
    """How many processes of each kind, and where they keep everything: `redis` or `sqlite`."""

    edges: int = 3
    sessions: int = 2
    auths: int = 2
    store: str = "redis"

    def __post_init__(self) -> None:
        if self.store == "sqlite" and (self.sessions, self.auths) != (1, 1):
            raise ValueError("on SQLite there is one session service and one auth service: --sessions 1 --auths 1")


@dataclass(frozen=True)
class Victim:
    """A process that may be killed.

    Args:
        name: For the report.
        runs: Says if it does.
        crash: `kill -9`, and a new start on the same port; returns when it listens.
        freeze: Stop it from answering, without closing its connections.
        thaw: Let it go on.
        renew: Stop it in order, and start the present version in its place; returns when it listens.
    """

    name: str
    runs: Callable[[], bool]
    crash: Callable[[], None]
    freeze: Callable[[], None]
    thaw: Callable[[], None]
    renew: Callable[[], None]


class System:
    """Starts and stops everything.

    Args:
        directory: For state and logs; must be there.
        size: Of the system.
        doors: Groups of clients behind a proxy that can cut each group; 0: no proxy.
        redis: More lines of the configuration of Redis.
        version: The folder of the source that services start from, until they are renewed; None: the present one.
    """

    def __init__(
        self,
        directory: Path,
        size: Size,
        doors: int = 0,
        redis: Mapping[str, str] = MappingProxyType({}),
        version: Path | None = None,
    ) -> None:
        self.account = Account(DEVELOPMENT_KEY, "ledger", "ledger")
        self.proxy: TcpProxy | None = None
        self.failed_starts: Counter[str] = Counter()
        self._directory = directory
        self._doors = doors
        self._version = version or ROOT
        self._token = secrets.token_hex(24)
        options = {"maxmemory-policy": "noeviction", **redis}
        self._redis = RedisServer(directory / "redis", options) if size.store == "redis" else None
        data = {"data-dir": directory / "data"}
        self._auths = self._make("auth_service", size.auths, data)
        self._sessions = self._make("session_service", size.sessions, {**data, "auth-target": target(self._auths)})
        targets = {"auth-target": target(self._auths), "session-target": target(self._sessions)}
        self._edges = self._make("ws_edge", size.edges, {**targets, **NO_LIMITS})

    def _make(self, module: str, count: int, flags: Mapping[str, object]) -> list[ServiceProcess]:
        variables = {"TIDEWIRE_MODE": "development", "TIDEWIRE_SERVICE_TOKEN": self._token}
        if self._redis is not None:
            stores = ("TIDEWIRE_AUTH_STORE_URL", "TIDEWIRE_SESSION_ENGINE_URL")
            variables |= dict.fromkeys(stores, self._redis.url)
        return [
            ServiceProcess(
                module, self._directory, flags, variables, f"{module}-{number}", free_port(), root=self._version
            )
            for number in range(1, count + 1)
        ]

    @property
    def processes(self) -> list[ServiceProcess]:
        return [*self._edges, *self._sessions, *self._auths]

    @property
    def victims(self) -> list[Victim]:
        redis = self._redis
        if redis is None:
            return self.services
        same = redis.restart
        return [*self.services, Victim("redis", lambda: redis.running, same, redis.freeze, redis.thaw, same)]

    @property
    def services(self) -> list[Victim]:
        """Everything but Redis."""
        return [self._victim(process) for process in self.processes]

    def _victim(self, process: ServiceProcess) -> Victim:
        def crash() -> None:
            process.kill9()
            self._supervised_start(process)

        def renew() -> None:
            code = process.stop()
            assert code == 0, f"{process.name} ended with {code}: {process.log()[-LOG_TAIL:]}"
            process.root = ROOT
            process.start()

        return Victim(process.name, lambda: process.running, crash, process.freeze, process.thaw, renew)

    def _supervised_start(self, process: ServiceProcess) -> None:
        """Start, and start again what ends at its start, as every supervisor does: Redis may not be ready yet."""
        for _ in range(MAX_STARTS - 1):
            process.launch()
            try:
                return process.wait_ready()
            except AssertionError:
                if process.running:
                    raise
                self.failed_starts[process.name] += 1
        return process.start()

    def start(self) -> None:
        """Start everything, and return when every edge can deliver."""
        if self._redis is not None:
            self._redis.start()
        first, *others = self._auths
        first.start()  # it makes the pepper that the others share
        start_together([*others, *self._sessions, *self._edges])
        for edge in self._edges:
            wait_until(lambda edge=edge: _is_ready(edge), READY_DEADLINE_S, f"{edge.name} delivers")  # type: ignore[misc]
        if self._doors:
            self.proxy = TcpProxy([edge.address for edge in self._edges], self._doors)
            self.proxy.start()

    def stop(self) -> list[str]:
        """Stop everything in order; return what did not end cleanly, and logs that hold the service token."""
        if self.proxy is not None:
            self.proxy.stop()
            self.proxy = None
        mishaps = [problem for process in self.processes for problem in _ended(process)]
        if self._redis is not None:
            self._redis.stop()
        leaks = [p.name for p in self.processes if self._token in p.log()]
        return [*mishaps, *(f"the service token is in the log of {name}" for name in leaks)]

    def kill(self) -> None:
        """End whatever still runs, after a failure."""
        for process in self.processes:
            if process.running:
                process.kill9()
        if self._redis is not None and self._redis.running:
            self._redis.kill9()

    def urls(self, client: int) -> Sequence[str]:
        """Return every edge, through the door of this client if there are doors."""
        if self.proxy is not None:
            return [f"ws://{address}" for address in self.proxy.addresses(client % self._doors)]
        return self.direct_urls

    @property
    def direct_urls(self) -> Sequence[str]:
        return [f"ws://{edge.address}" for edge in self._edges]


def target(services: Iterable[ServiceProcess]) -> str:
    """Return the gRPC target that names several addresses."""
    return "ipv4:" + ",".join(service.address for service in services)


def start_together(processes: Sequence[ServiceProcess]) -> None:
    """Start all at the same time, and return when all listen."""
    for process in processes:
        process.launch()
    for process in processes:
        process.wait_ready()


def _is_ready(edge: ServiceProcess) -> bool:
    try:
        return http("GET", f"http://{edge.address}/ready").status == 200
    except OSError:
        return False


def _ended(process: ServiceProcess) -> list[str]:
    if process.exit_code is not None:
        return [f"{process.name} was down, with {process.exit_code}: {process.log()[-LOG_TAIL:]}"]
    try:
        code = process.stop()
    except AssertionError as late:
        return [str(late)]
    return [] if code == 0 else [f"{process.name} ended with {code}: {process.log()[-LOG_TAIL:]}"]
