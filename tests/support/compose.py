"""A system that a Compose file of `deploy/` describes, as containers on a network of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts.certificates import Folder, make_certificates
from tests.support.container_engine import BASE, ContainerEngine
from tests.support.http_client import http
from tests.support.ports import free_port
from tests.support.processes import ROOT
from tests.support.waiting import wait_until

PROJECT = "tidewire-test"
START_DEADLINE_S = 120.0
COMPOSE_DEADLINE_S = 180.0
OPEN_FILES = 16_384
_MONITORING = "--profile=monitoring"


class ComposedSystem:
    """Containers by podman-compose.

    Args:
        engine: Runs them.
        folder: For a copy of `deploy/`, with secrets of its own.
        images: What the names of the project's images begin with.
    """

    def __init__(self, engine: ContainerEngine, folder: Path, images: str) -> None:
        self.engine = engine
        self.port = free_port()
        self.prometheus_port = free_port()
        self._deploy = folder / "deploy"
        self._files: tuple[str, ...] = ()
        self._variables = {
            "TIDEWIRE_PORT": str(self.port),
            "TIDEWIRE_IMAGES": images,
            "TIDEWIRE_REDIS_IMAGE": BASE,
            "TIDEWIRE_BALANCER_IMAGE": BASE,
            "TIDEWIRE_PROMETHEUS_IMAGE": f"{images}/prometheus:latest",
            "TIDEWIRE_PROMETHEUS_PORT": str(self.prometheus_port),
            "TIDEWIRE_OPEN_FILES": str(OPEN_FILES),
        }

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def up(self, *files: str) -> None:
        """Start everything as an operator does, and return when a message goes round."""
        shutil.copytree(ROOT / "deploy", self._deploy, ignore=shutil.ignore_patterns("secrets", ".env"))
        subprocess.run([sys.executable, str(self._deploy / "make_secrets.py")], check=True, stdout=subprocess.DEVNULL)
        if "compose.tls.yaml" in files:
            certificates = Folder(self._deploy / "secrets" / "tls")
            make_certificates(certificates)
            for file in certificates.path.iterdir():
                file.chmod(0o444)
        self._files = files
        self._compose("up", "--detach")
        self.wait_ready()

    def add(self, service: str) -> None:
        """Start one more service, of the profile of monitoring."""
        self._compose(_MONITORING, "up", "--detach", "--no-deps", service)

    def wait_ready(self) -> None:
        """Return when the public port leads to an edge that can deliver."""
        try:
            wait_until(lambda: self._status("/ready") == 200, START_DEADLINE_S, "a message goes round")
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.logs()}") from None

    def wait_well(self, service: str) -> None:
        """Return when a message goes round, and a container finds itself well, by the probe of its image."""
        container = self.containers()[service]
        if self.engine.inspect(container)["Config"].get("Healthcheck"):
            wait_until(lambda: self.engine.finds_itself_well(container), START_DEADLINE_S, f"{service} is well")
        self.wait_ready()

    def pid_of(self, container: str) -> int:
        """Return the process of a container; 0 while there is none."""
        return int(self.engine.inspect(container)["State"]["Pid"])

    def _status(self, path: str) -> int:
        try:
            return http("GET", f"{self.url}{path}").status
        except OSError:
            return 0

    def down(self) -> None:
        """Remove everything."""
        if self._files:
            self._compose(_MONITORING, "down", "--volumes", "--timeout=1", check=False)
            self._files = ()

    def containers(self) -> Mapping[str, str]:
        """Return the id of the container of each service."""
        form = '{{index .Labels "com.docker.compose.service"}} {{.ID}}'
        label = f"label=io.podman.compose.project={PROJECT}"
        lines = self.engine.run("ps", "--all", f"--filter={label}", f"--format={form}").splitlines()
        return dict(line.split() for line in lines)

    def secret(self, name: str) -> str:
        return (self._deploy / "secrets" / name).read_text().strip()

    def first_key(self) -> str:
        """Make the first admin key, as an operator does."""
        auth = next(name for name in self.containers() if name.startswith("auth"))
        return self.engine.run(
            "exec", self.containers()[auth], "/opt/tidewire/bin/python", "-m", "auth_service", "bootstrap"
        )

    def ip_of(self, service: str) -> str:
        """Return an address of a container, for who is on this machine."""
        networks = self.engine.inspect(self.containers()[service])["NetworkSettings"]["Networks"]
        return next(str(network["IPAddress"]) for network in networks.values())

    def logs(self) -> str:
        """Return all logs."""
        return "\n".join(f"--- {name}\n{self.engine.logs(container)}" for name, container in self.containers().items())

    def _compose(self, *arguments: str, check: bool = True) -> None:
        files = [f"--file={file}" for file in self._files]
        command = [sys.executable, "-m", "podman_compose", f"--project-name={PROJECT}", *files, *arguments]
        ended = subprocess.run(
            command,
            cwd=self._deploy,
            env={**os.environ, **self.engine.variables, **self._variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMPOSE_DEADLINE_S,
            check=False,
        )
        assert not check or ended.returncode == 0, f"{' '.join(command)}:\n{ended.stdout[-6000:]}"
