"""Real balancers on the configurations of `deploy/balancers`, where only addresses are replaced."""

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

CONFIGURATIONS = ROOT / "deploy" / "balancers"
START_DEADLINE_S = 30.0
STOP_DEADLINE_S = 30.0
# Where a user that is not root may write.
_NGINX_FOLDERS = "".join(
    f"    {name}_temp_path tmp;\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)


class Balancer:
    """A balancer as a process, on 127.0.0.1.

    Args:
        configuration: A file of `deploy/balancers`; it begins with the name of the program.
        folder: For its configuration and log.
        edges: Ports of edges, two.
        check_ports: Their metrics ports, where the configuration asks there.
        source: The address that it comes from.
    """

    def __init__(
        self,
        configuration: str,
        folder: Path,
        edges: Sequence[int],
        check_ports: Sequence[int] = (),
        source: str | None = None,
    ) -> None:
        self.program = re.split(r"[-.]", configuration)[0]
        self.port = free_port()
        self._configuration = configuration
        self._folder = folder
        self._edges = edges
        self._check_ports = check_ports
        self._source = f" source {source}" if source else ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and return when it listens."""
        command = self._command()
        with (self._folder / "balancer.log").open("wb") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
        wait_until(lambda: self._listens() or not self.running, START_DEADLINE_S, f"{self.program} listens")
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
        return (self._folder / "balancer.log").read_text(errors="replace")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _command(self) -> Sequence[str]:
        program = _program(self.program)
        file = self._folder / self._configuration
        text = (CONFIGURATIONS / self._configuration).read_text()
        if self.program == "haproxy":
            replaced = {"bind :8000": f"bind 127.0.0.1:{self.port}", **self._named_edges()}
            if self._check_ports:
                replaced |= {"check port 9100": "check"}
            command = [program, "-db", "-f", str(file)]
        elif self.program == "nginx":
            (self._folder / "tmp").mkdir()
            replaced = {"listen 8000": f"listen 127.0.0.1:{self.port}", "http {\n": "http {\n" + _NGINX_FOLDERS}
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
        file.write_text(_replace(text, replaced))
        return command

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


def _program(name: str) -> str:
    """Return the program: from the Python environment of the tests, or of the system."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        skip_without(name)
    return found
