"""Real proxies on the example configurations of `deploy/examples`, where only ports are replaced."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.ports import free_port
from tests.support.processes import ROOT
from tests.support.requirements import skip_without
from tests.support.waiting import wait_until

EXAMPLES = ROOT / "deploy" / "examples"
KINDS = ("nginx", "envoy", "caddy")
START_DEADLINE_S = 30.0
STOP_DEADLINE_S = 30.0
# The ports of the examples.
_PUBLIC, _BACKEND, _AUTH_GRPC, _AUTH_HTTP = "8080", "8000", "50051", "50080"
# Where a user that is not root may write.
_NGINX_FOLDERS = "".join(
    f"    {name}_temp_path tmp;\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)


class Proxy:
    """A proxy as a process.

    Args:
        kind: One of `KINDS`.
        folder: For its configuration and log.
        backend_port: Of what is behind it.
        auth_grpc_port: Of the auth service.
        auth_http_port: Of the auth service.
        credential: What it shows the auth service.
    """

    def __init__(
        self,
        kind: str,
        folder: Path,
        *,
        backend_port: int,
        auth_grpc_port: int,
        auth_http_port: int,
        credential: str,
    ) -> None:
        self.kind = kind
        self.port = free_port()
        self._folder = folder
        self._credential = credential
        self._ports = {
            _PUBLIC: self.port,
            _BACKEND: backend_port,
            _AUTH_GRPC: auth_grpc_port,
            _AUTH_HTTP: auth_http_port,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and return when it listens."""
        command, variables = getattr(self, f"_{self.kind}")()
        with (self._folder / "proxy.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env={**os.environ, **variables}, stdout=log, stderr=log
            )
        wait_until(lambda: self._listens() or not self.running, START_DEADLINE_S, f"{self.kind} listens")
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
        return (self._folder / "proxy.log").read_text(errors="replace")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _nginx(self) -> tuple[Sequence[str], Mapping[str, str]]:
        program = _program("nginx")
        (self._folder / "tmp").mkdir()
        self._copy("nginx.conf", {"http {\n": "http {\n" + _NGINX_FOLDERS})
        self._copy("tidewire_question.conf")
        self._copy("tidewire_backend.conf")
        line = f'proxy_set_header Tidewire-Service-Authorization "Bearer {self._credential}";\n'
        (self._folder / "tidewire_credential.conf").write_text(line)
        return [program, "-p", str(self._folder), "-c", "nginx.conf", "-g", "daemon off; user root;"], {}

    def _envoy(self) -> tuple[Sequence[str], Mapping[str, str]]:
        program = _program("envoy")
        self._copy("envoy.yaml")
        options = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]
        return [program, "-c", "envoy.yaml", *options], {"TIDEWIRE_PROXY_CREDENTIAL": self._credential}

    def _caddy(self) -> tuple[Sequence[str], Mapping[str, str]]:
        program = _program("caddy")
        self._copy("Caddyfile")
        variables = {"TIDEWIRE_PROXY_CREDENTIAL": self._credential, "HOME": str(self._folder)}
        return [program, "run", "--config", "Caddyfile", "--adapter", "caddyfile"], variables

    def _copy(self, name: str, replaced: Mapping[str, str] | None = None) -> None:
        text = (EXAMPLES / self.kind / name).read_text()
        for old, new in (replaced or {}).items():
            assert old in text
            text = text.replace(old, new)
        pattern = re.compile(rf"(?<=[:\s])({'|'.join(self._ports)})(?=[\s;/}}])")
        (self._folder / name).write_text(pattern.sub(lambda found: str(self._ports[found[1]]), text))


def _program(name: str) -> str:
    """Return the program: from the Python environment of the tests, or of the system."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        skip_without(name)
    return found
