"""What tests and benchmarks need besides Python: Debian packages and packages of Node.js.

What cannot be had is said; the tests that need it skip themselves, and benchmarks leave it out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from scripts.environment import ROOT

# Command or file that must be there, and the Debian packages that bring it.
_FOR_TESTS: Final = {
    "redis-server": ("redis-server",),
    "nginx": ("nginx",),
    "prometheus": ("prometheus",),
    "haproxy": ("haproxy",),
    "cc": ("gcc", "libc6-dev"),
    "faketime": ("faketime",),
}
# Containers without a service of the machine: an engine and its network.
_CONTAINERS: Final = {
    "podman": ("podman", "netavark", "aardvark-dns", "iptables"),
    "runc": ("runc",),
}
_FOR_BENCHMARKS: Final = {
    **_FOR_TESTS,
    "nats-server": ("nats-server",),
    "mosquitto": ("mosquitto",),
    "/usr/lib/nginx/modules/ngx_nchan_module.so": ("nginx", "libnginx-mod-nchan"),
}
# Three engines, and a display for the one that needs it.
_BROWSERS: Final = {
    "chromium": ("chromium",),
    "firefox-esr": ("firefox-esr",),
    "WebKitWebDriver": ("webkit2gtk-driver",),
    "Xvfb": ("xvfb",),
}
# Debian puts servers where only administrators look for programs.
_PLACES: Final = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
# What runs on Node.js: the independent client of the wire protocol, the worked example, and the browser side; a server to
# be measured beside.
_NODE_FOR_TESTS: Final = (
    ROOT / "tests" / "protocol" / "node",
    ROOT / "docs" / "examples" / "node",
    ROOT / "frontend",
)
_NODE_FOR_BENCHMARKS: Final = (ROOT / "benchmarks" / "peers" / "socketio_node",)


def prepare() -> None:
    """Install what tests need and what is missing, where that is possible."""
    _install(_FOR_BENCHMARKS, (*_NODE_FOR_TESTS, *_NODE_FOR_BENCHMARKS), "tests that need it are skipped")


def prepare_browsers() -> None:
    """Install the browsers that end-to-end tests drive, and what builds the page, where that is possible."""
    _install(_BROWSERS, (ROOT / "frontend",), "tests that need it are skipped")


def prepare_containers() -> None:
    """Install an engine that builds images and runs them, where that is possible."""
    _install(_CONTAINERS, (), "tests that need it are skipped")


def prepare_benchmarks() -> None:
    """Install the servers that Tidewire is measured beside, where that is possible."""
    _install(_FOR_BENCHMARKS, _NODE_FOR_BENCHMARKS, "benchmarks leave it out")


def _install(wanted: Mapping[str, Sequence[str]], node_folders: Sequence[Path], consequence: str) -> None:
    _install_missing(wanted, consequence)
    for folder in node_folders:
        _install_node_packages(folder, consequence)


def _install_missing(wanted: Mapping[str, Sequence[str]], consequence: str) -> None:
    missing = [package for what, packages in wanted.items() if not _is_there(what) for package in packages]
    if missing:
        _install_debian(missing, consequence)


def _is_there(what: str) -> bool:
    return Path(what).exists() if what.startswith("/") else shutil.which(what, path=_PLACES) is not None


def _install_debian(packages: Sequence[str], consequence: str) -> None:
    names = " ".join(packages)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        _say(f"{names} missing: {consequence}. Install it, or run as root where apt-get is")
        return
    _say(f"installing {names} with apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--quiet", "--quiet", "--no-install-recommends", *packages]
    if _run(install, environment):
        return
    if not (_run(["apt-get", "update", "--quiet", "--quiet"], environment) and _run(install, environment)):
        _say(f"{names} cannot be installed: {consequence}")


def _install_node_packages(folder: Path, consequence: str) -> None:
    if has_node_packages(folder):
        return
    name = folder.relative_to(ROOT)
    if shutil.which("node") is None or shutil.which("npm") is None:
        _say(f"node and npm are not there for {name}: {consequence}")
        return
    _say(f"installing the Node.js packages of {name}")
    locked = (folder / "package-lock.json").exists()
    install = ["npm", "ci"] if locked else ["npm", "install", "--no-package-lock"]
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
    if not _run([*install, *options], dict(os.environ)):
        _say(f"the Node.js packages of {name} cannot be installed: {consequence}")


def has_node_packages(folder: Path) -> bool:
    """Whether what npm installed last in a folder is not older than what says what to install."""
    installed = folder / "node_modules" / ".package-lock.json"
    wanted = [folder / name for name in ("package.json", "package-lock.json") if (folder / name).exists()]
    return installed.exists() and all(installed.stat().st_mtime >= file.stat().st_mtime for file in wanted)


def _run(command: list[str], environment: dict[str, str]) -> bool:
    result = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if result.returncode != 0:
        _say(result.stdout.strip())
    return result.returncode == 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
