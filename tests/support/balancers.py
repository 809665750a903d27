"""Real balancers on the configurations of `deploy/balancers`, where only addresses are replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.processes import ROOT
from tests.support.programs import NGINX_FOLDERS, ListeningProgram, find_program

CONFIGURATIONS = ROOT / "deploy" / "balancers"
# What ends a WebSocket that is silent.
_IDLE: Mapping[str, Sequence[str]] = {
    "haproxy.cfg": ["timeout tunnel 1h"],
    "haproxy-proxy-protocol.cfg": ["timeout client 1h", "timeout server 1h"],
    "nginx.conf": ["proxy_read_timeout 75s", "proxy_send_timeout 75s"],
    "envoy.yaml": ["stream_idle_timeout: 3600s"],
}
_TIME = re.compile(r"(\d+)([sh])$")
_SECONDS = {"s": 1, "h": 3600}


def idle_s(configuration: str) -> int:
    """Return the seconds after which a balancer ends a connection that is silent, as configured."""
    text = (CONFIGURATIONS / configuration).read_text()
    assert all(setting in text for setting in _IDLE[configuration])
    return min(int(found[1]) * _SECONDS[found[2]] for each in _IDLE[configuration] if (found := _TIME.search(each)))


class Balancer(ListeningProgram):
    """A balancer as a process, on 127.0.0.1.

    Args:
        configuration: A file of `deploy/balancers`; it begins with the name of the program.
        folder: For its configuration and log.
        edges: Ports of edges, two.
        check_ports: Their metrics ports, where the configuration asks there.
        source: The address that it comes from.
        idle_s: Seconds after which it ends a connection that is silent; None: as configured.
    """

    def __init__(
        self,
        configuration: str,
        folder: Path,
        edges: Sequence[int],
        check_ports: Sequence[int] = (),
        source: str | None = None,
        idle_s: int | None = None,
    ) -> None:
        super().__init__(re.split(r"[-.]", configuration)[0], folder)
        self._configuration = configuration
        self._edges = edges
        self._check_ports = check_ports
        self._source = f" source {source}" if source else ""
        self._idle_s = idle_s

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        program = find_program(self.name)
        file = self._folder / self._configuration
        text = (CONFIGURATIONS / self._configuration).read_text()
        if self.name == "haproxy":
            replaced = {"bind :8000": f"bind 127.0.0.1:{self.port}", **self._named_edges()}
            if self._check_ports:
                replaced |= {"check port 9100": "check"}
            command = [program, "-db", "-f", str(file)]
        elif self.name == "nginx":
            (self._folder / "tmp").mkdir()
            replaced = {"listen 8000": f"listen 127.0.0.1:{self.port}", "http {\n": "http {\n" + NGINX_FOLDERS}
            replaced |= self._named_edges()
            command = [program, "-p", str(self._folder), "-c", str(file), "-g", "daemon off; user root;"]
        else:
            public = "{ address: 0.0.0.0, port_value: 8000 }"
            replaced = {public: f"{{ address: 127.0.0.1, port_value: {self.port} }}"}
            replaced |= {
                f"{{ address: edge-{n}, port_value: 8000 }}": f"{{ address: 127.0.0.1, port_value: {port} }}"
                for n, port in enumerate(self._edges, 1)
            }
            command = [program, "-c", str(file), "--disable-hot-restart", "--log-level", "warning"]
        if self._idle_s is not None:
            replaced |= {old: _TIME.sub(f"{self._idle_s}s", old) for old in _IDLE[self._configuration]}
        file.write_text(_replace(text, replaced))
        return command, {}

    def _named_edges(self) -> Mapping[str, str]:
        checks = [f" port {port}" for port in self._check_ports] or [""] * len(self._edges)
        return {
            f"edge-{n}:8000": f"127.0.0.1:{port}{check}{self._source}"
            for n, (port, check) in enumerate(zip(self._edges, checks, strict=True), 1)
        }


def _replace(text: str, replaced: Mapping[str, str]) -> str:
    """Replace each text that is there; comments stay."""
    lines = []
    missing = set(replaced)
    for line in text.splitlines(keepends=True):
        changed = line
        if not line.lstrip().startswith("#"):
            for old, new in replaced.items():
                if old in changed:
                    missing.discard(old)
                    changed = changed.replace(old, new)
        lines.append(changed)
    assert not missing, f"the configuration has no {missing}"
    return "".join(lines)
