"""Podman with storage, networks and settings of its own, which are gone afterwards.

What this machine needs to reach package servers (certificates, settings of pip) is shown to builds as mounts, so that no image
and no file of the project holds it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.base_image import PROMETHEUS, pack_base, pack_prometheus
from tests.support.processes import ROOT
from tests.support.programs import find_program
from tests.support.requirements import skip_without

PROGRAMS = ("podman", "runc", "iptables")
BASE = "localhost/tidewire-test/base:latest"
BUILD_DEADLINE_S = 600.0
COMMAND_DEADLINE_S = 120.0
_CERTIFICATES = ("/etc/ssl/certs", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates")
_LOUD = "CONTAINERS WERE NOT TESTED"


class ContainerEngine:
    """Podman for one test run.

    Args:
        folder: For everything that it keeps.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.variables = self._configure()

    @classmethod
    def require(cls, folder: Path) -> ContainerEngine:
        """Return an engine; skip the test, loudly, where no containers can be run."""
        for program in PROGRAMS:
            if shutil.which(program) is None:
                skip_without(f"{program} ({_LOUD})")
        if os.geteuid() != 0:
            pytest.skip(f"{_LOUD}: only root can give containers networks of their own")
        return cls(folder)

    def _configure(self) -> Mapping[str, str]:
        """Write the files that keep this engine apart from any other on the machine."""
        folder = self._folder
        storage, engine, policy = (folder / name for name in ("storage.conf", "containers.conf", "registries.conf"))
        storage.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/images"\nrunroot = "{folder}/run"\n')
        engine.write_text(
            # Podman's own are higher than a machine may let even root give.
            '[containers]\ndefault_ulimits = ["nofile=16384:16384", "nproc=4096:4096"]\n'
            f'[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "{folder}/networks"\n'
            '[engine]\nruntime = "runc"\nevents_logger = "file"\ncgroup_manager = "cgroupfs"\n'
            # Where podman itself looks for it when it cleans up after a container: else nobody is told that one has ended.
            f'static_dir = "{folder}/images/libpod"\n'
            f'tmp_dir = "{folder}/state"\nvolume_path = "{folder}/volumes"\n'
        )
        policy.write_text("unqualified-search-registries = []\n")
        return {
            "CONTAINERS_STORAGE_CONF": str(storage),
            "CONTAINERS_CONF": str(engine),
            "CONTAINERS_REGISTRIES_CONF": str(policy),
        }

    def run(self, *arguments: str, deadline_s: float = COMMAND_DEADLINE_S, check: bool = True) -> str:
        """Run `podman ...`; return what it says on standard output."""
        ended = self._run(["podman", *arguments], deadline_s)
        assert not check or ended.returncode == 0, f"podman {' '.join(arguments)}:\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout.strip()

    def _run(self, command: Sequence[str], deadline_s: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **self.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )

    def ended(self, *arguments: str) -> str:
        """Run a container to its end, and return what it wrote, on whichever stream."""
        container = self.run(arguments[0], "--detach", *arguments[1:])
        self.run("wait", container)
        written = self.logs(container)
        self.run("rm", "--force", container)
        return written

    def finds_itself_well(self, container: str) -> bool:
        """Run the probe of its image in a container; return whether it is content."""
        return self._run(["podman", "healthcheck", "run", container], COMMAND_DEADLINE_S).returncode == 0

    def logs(self, container: str) -> str:
        """Return what a container has written, on whichever stream."""
        ended = self._run(["podman", "logs", container], COMMAND_DEADLINE_S)
        return ended.stdout + ended.stderr

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what the engine knows of a container or an image."""
        return dict(json.loads(self.run("inspect", name))[0])

    def make_base(self) -> None:
        """Make the base image."""
        self._import(pack_base, BASE)

    def make_prometheus(self, tag: str) -> None:
        """Make an image of Prometheus that starts as the official one."""
        places = ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
        starts = f"ENTRYPOINT {json.dumps([find_program(PROMETHEUS), *places])}"
        self._import(pack_prometheus, tag, f"--change={starts}", "--change=USER 65534:65534")

    def _import(self, pack: Callable[[Path, Path], None], tag: str, *changes: str) -> None:
        archive = self._folder / "image.tar"
        pack(self._folder / "image", archive)
        self.run("import", *changes, str(archive), tag, deadline_s=BUILD_DEADLINE_S)
        archive.unlink()

    def build(self, target: str, tag: str, **arguments: str) -> None:
        """Build a target of the project's Dockerfile as `tag`, with build arguments."""
        given = [f"--build-arg={name}={value}" for name, value in {"BASE_IMAGE": BASE, **arguments}.items()]
        mounts = [f"--volume={source}:{place}:ro" for source, place in self._build_mounts().items()]
        what = ["--file=deploy/Dockerfile", f"--target={target}", f"--tag={tag}"]
        options = ["--network=host", "--format=docker", "--layers", "--pull=never"]
        self.run("build", *what, *given, *options, *mounts, ".", deadline_s=BUILD_DEADLINE_S)

    def _build_mounts(self) -> Mapping[str, str]:
        """Return what builds see of this machine: its certificates, and its settings of pip with the folders they name."""
        mounts = {place: place for place in _CERTIFICATES if Path(place).is_dir()}
        settings = _pip_settings()
        file = self._folder / "pip.conf"
        file.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
        mounts[str(file)] = "/etc/pip.conf"
        folders = [value for value in settings.values() if value.startswith("/") and Path(value).is_dir()]
        return {**mounts, **{folder: folder for folder in folders}}

    def end(self) -> None:
        """Remove every container, network, volume and image."""
        self.run("rm", "--all", "--force", "--time=0", check=False)
        self.run("network", "prune", "--force", check=False)
        self.run("volume", "rm", "--all", "--force", check=False)
        self.run("rmi", "--all", "--force", check=False)


def _pip_settings() -> Mapping[str, str]:
    """Return the settings of this machine's pip that hold for all commands."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"^(?:global|:env:)\.([\w-]+)='(.*)'$", lines, re.MULTILINE))
