"""The whole gateway as real processes: auth, session and edge, each on a port of its own, with state in a directory."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Self

from tests.support.authority import Identities
from tests.support.http_client import http
from tests.support.key_admin import KeyAdmin
from tests.support.processes import ServiceProcess
from tests.support.waiting import wait_until

READY_DEADLINE_S = 60.0
# All tests come from one address, and many fail on purpose.
ANY_NUMBER_OF_FAILED_ATTEMPTS = {"failed-attempts-per-minute": 0, "failed-attempts-per-minute-of-address": 0}


class Gateway:
    """Three services that talk to each other.

    As a context manager, of either kind, it is started; at the end it is stopped, after a failure killed.

    Args:
        directory: For state, logs and ready files.
        auth: More flags of the auth service, by name without `--`.
        session: More flags of the session service.
        edge: More flags of the edge.
        redis: URL of the Redis that keeps everything; None: SQLite files.
        tls: Certificates, for mutual TLS between them; None: plain text.
        variables: Added to the environment of all.
    """

    def __init__(
        self,
        directory: Path,
        *,
        auth: Mapping[str, object] | None = None,
        session: Mapping[str, object] | None = None,
        edge: Mapping[str, object] | None = None,
        redis: str | None = None,
        tls: Identities | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.directory = directory
        self.service_token = f"canary-token-{secrets.token_hex(16)}"
        self.canaries = {self.service_token}
        self._variables = {"TIDEWIRE_MODE": "development", "TIDEWIRE_SERVICE_TOKEN": self.service_token, **variables}
        if redis is not None:
            self._variables |= {"TIDEWIRE_AUTH_STORE_URL": redis, "TIDEWIRE_SESSION_ENGINE_URL": redis}
        self.tls = tls
        self._session_flags = {**(tls.session.flags() if tls else {}), **(session or {})}
        self._edge_flags = {**(tls.edge.flags() if tls else {}), **(edge or {})}
        self._auth_flags = {
            "data-dir": directory / "data",
            **ANY_NUMBER_OF_FAILED_ATTEMPTS,
            **(tls.auth.flags() if tls else {}),
            **(auth or {}),
        }
        self.auth = self._process("auth_service", self._auth_flags)
        self.session = self._process("session_service", {})
        self.edge = self._process("ws_edge", {})
        self._more: list[ServiceProcess] = []

    def _process(self, module: str, flags: Mapping[str, object], name: str | None = None) -> ServiceProcess:
        return ServiceProcess(module, self.directory, flags, self._variables, name)

    @property
    def processes(self) -> list[ServiceProcess]:
        return [*reversed(self._more), self.edge, self.session, self.auth]

    def start(self) -> None:
        """Start the three, and return when a message has gone round."""
        self.auth.start()
        session_flags = {"data-dir": self.directory / "data", "auth-target": self.auth.address}
        self.session = self._process("session_service", {**session_flags, **self._session_flags})
        self.session.start()
        self.edge = self._process("ws_edge", self._flags_of_edge({}))
        self.edge.start()
        self.wait_ready()

    def another_edge(self, name: str, *, launcher: Sequence[str] = (), **flags: object) -> ServiceProcess:
        """Start one more edge on the same services; `max_connections=1` is the flag `--max-connections 1`."""
        edge = self.make_edge(name, **flags)
        edge.launcher = launcher
        edge.start()
        self.wait_ready(edge)
        return edge

    def make_edge(self, name: str, **flags: object) -> ServiceProcess:
        """Return one more edge on the same services, not yet started; it is stopped with the others."""
        named = {flag.replace("_", "-"): value for flag, value in flags.items()}
        edge = self._process("ws_edge", self._flags_of_edge(named), f"ws_edge-{name}")
        self._more.append(edge)
        return edge

    def another_auth(self, name: str) -> ServiceProcess:
        """Start one more auth service on the same key store."""
        auth = self._process("auth_service", self._auth_flags, f"auth_service-{name}")
        self._more.append(auth)
        auth.start()
        return auth

    def _flags_of_edge(self, more: Mapping[str, object]) -> dict[str, object]:
        targets = {"auth-target": self.auth.address, "session-target": self.session.address}
        return {**targets, "canary-interval-s": 0.5, **self._edge_flags, **more}

    def wait_ready(self, edge: ServiceProcess | None = None) -> None:
        """Return when the edge says that it can deliver."""
        url = f"http://{(edge or self.edge).address}/ready"

        def ready() -> bool:
            try:
                return http("GET", url).status == 200
            except OSError:
                return False

        wait_until(ready, READY_DEADLINE_S, "a message goes round")

    def key_admin(self) -> KeyAdmin:
        """Return what makes keys here; their texts are searched for in the logs at the end."""
        return KeyAdmin(
            self.auth.address, self.service_token, self.canaries.add, tls=self.tls.operator if self.tls else None
        )

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, failure: object, *_more: object) -> None:
        try:
            if failure is None:
                self.stop()
        finally:
            self.kill()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, failure: object, *_more: object) -> None:
        await asyncio.to_thread(self.__exit__, failure)

    def stop(self) -> None:
        """Stop everything in order; fail if a process does not end cleanly or a key is in a log."""
        codes = {process.name: process.stop() for process in self.processes if process.exit_code is None}
        self.assert_no_canary_in_logs()
        assert set(codes.values()) <= {0}, f"exit codes {codes}: {self.tails(codes)}"

    def kill(self) -> None:
        """End whatever still runs, after a failure."""
        for process in self.processes:
            if process.running:
                process.kill9()

    def assert_no_canary_in_logs(self) -> None:
        """Fail if a key or the service token is in a log."""
        for file in self.directory.glob("*.log"):
            text = file.read_text(errors="replace")
            assert not [canary for canary in self.canaries if canary in text], f"a key is in {file.name}"

    def tails(self, codes: Mapping[str, int]) -> str:
        """Return the last lines of the logs of processes that did not end with 0."""
        bad = [process for process in self.processes if codes.get(process.name)]
        return "\n".join(f"--- {process.name}\n{process.log()[-3000:]}" for process in bad)


class ManyServices(Gateway):
    """Two of each service on one Redis; whoever calls a service knows both of them.

    Args:
        directory: For state, logs and ready files.
        redis: URL of the Redis that keeps everything.
        edge: More flags of the edges, by name without `--`.
    """

    def __init__(self, directory: Path, redis: str, *, edge: Mapping[str, object] | None = None) -> None:
        super().__init__(directory, edge=edge, redis=redis)
        self.auths = [self._process("auth_service", self._auth_flags, f"auth_service-{n}") for n in (1, 2)]
        self.sessions: list[ServiceProcess] = []
        self.edges: list[ServiceProcess] = []

    @property
    def processes(self) -> list[ServiceProcess]:
        return [*self.edges, *self.sessions, *self.auths]

    def start(self) -> None:
        """Start all, and return when a message has gone round at every edge."""
        for auth in self.auths:
            auth.start()
        flags = {"data-dir": self.directory / "data", "auth-target": target_of(self.auths), "metrics-port": 0}
        self.sessions = [self._process("session_service", flags, f"session_service-{n}") for n in (1, 2)]
        for session in self.sessions:
            session.start()
        flags = self._flags_of_edge({"auth-target": target_of(self.auths), "session-target": target_of(self.sessions)})
        self.edges = [self._process("ws_edge", flags, f"ws_edge-{n}") for n in (1, 2)]
        for edge in self.edges:
            edge.start()
        self.auth, self.session, self.edge = self.auths[0], self.sessions[0], self.edges[0]
        for edge in self.edges:
            self.wait_ready(edge)

    def attached_to(self, edge: ServiceProcess) -> str | None:
        """Return the id of the session service that an edge is attached to."""
        found = re.search(
            r'^tidewire_edge_session_service{service_id="([^"]+)"} 1.0$', self._metrics(edge), re.MULTILINE
        )
        return found and found[1]

    def counted(self, process: ServiceProcess, metric: str) -> float:
        """Return the value of a metric without labels."""
        found = re.search(rf"^{metric} (\S+)$", self._metrics(process), re.MULTILINE)
        assert found, f"{process.name} has no metric {metric}"
        return float(found[1])

    def _metrics(self, process: ServiceProcess) -> str:
        address = process.address
        if process.module != "ws_edge":
            facts = json.loads((self.directory / f"{process.name}.ready").read_text())
            address = f"127.0.0.1:{facts['metrics_port']}"
        return http("GET", f"http://{address}/metrics").body.decode()


def target_of(processes: Sequence[ServiceProcess]) -> str:
    """Return the gRPC target that names them all."""
    return "ipv4:" + ",".join(process.address for process in processes)
