"""Real proxies on the example configurations of `deploy/examples`, where only ports are replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.processes import ROOT
from tests.support.programs import NGINX_FOLDERS, ListeningProgram, find_program

EXAMPLES = ROOT / "deploy" / "examples"
KINDS = ("nginx", "envoy", "caddy")
# The ports of the examples.
_PUBLIC, _BACKEND, _AUTH_GRPC, _AUTH_HTTP = "8080", "8000", "50051", "50080"


class Proxy(ListeningProgram):
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
        super().__init__(kind, folder)
        self._credential = credential
        self._ports = {
            _PUBLIC: self.port,
            _BACKEND: backend_port,
            _AUTH_GRPC: auth_grpc_port,
            _AUTH_HTTP: auth_http_port,
        }

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        made: tuple[Sequence[str], Mapping[str, str]] = getattr(self, f"_{self.name}")()
        return made

    def _nginx(self) -> tuple[Sequence[str], Mapping[str, str]]:
        program = find_program("nginx")
        (self._folder / "tmp").mkdir()
        self._copy("nginx.conf", {"http {\n": "http {\n" + NGINX_FOLDERS})
        self._copy("tidewire_question.conf")
        self._copy("tidewire_backend.conf")
        line = f'proxy_set_header Tidewire-Service-Authorization "Bearer {self._credential}";\n'
        (self._folder / "tidewire_credential.conf").write_text(line)
        return [program, "-p", str(self._folder), "-c", "nginx.conf", "-g", "daemon off; user root;"], {}

    def _envoy(self) -> tuple[Sequence[str], Mapping[str, str]]:
        program = find_program("envoy")
        self._copy("envoy.yaml")
        options = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]
        return [program, "-c", "envoy.yaml", *options], {"TIDEWIRE_PROXY_CREDENTIAL": self._credential}

    def _caddy(self) -> tuple[Sequence[str], Mapping[str, str]]:
        program = find_program("caddy")
        self._copy("Caddyfile")
        variables = {"TIDEWIRE_PROXY_CREDENTIAL": self._credential, "HOME": str(self._folder)}
        return [program, "run", "--config", "Caddyfile", "--adapter", "caddyfile"], variables

    def _copy(self, name: str, replaced: Mapping[str, str] | None = None) -> None:
        text = (EXAMPLES / self.name / name).read_text()
        for old, new in (replaced or {}).items():
            assert old in text
            text = text.replace(old, new)
        pattern = re.compile(rf"(?<=[:\s])({'|'.join(self._ports)})(?=[\s;/}}])")
        (self._folder / name).write_text(pattern.sub(lambda found: str(self._ports[found[1]]), text))
