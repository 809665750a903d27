"""What tests need besides Python: Debian packages and packages of Node.js.

What cannot be had is said; the tests that need it skip themselves.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from scripts.environment import ROOT

# Command that must be there, and the Debian package that brings it.
_DEBIAN: Final = {"redis-server": "redis-server", "nginx": "nginx"}
# What runs on Node.js: the independent client of the wire protocol, and the worked example.
_NODE_FOLDERS: Final = (ROOT / "tests" / "protocol" / "node", ROOT / "docs" / "examples" / "node")


def prepare() -> None:
    """Install what is missing, where that is possible."""
    missing = [package for command, package in _DEBIAN.items() if shutil.which(command) is None]
    if missing:
        _install_debian(missing)
    _install_node_packages()


def _install_debian(packages: list[str]) -> None:
    names = " ".join(packages)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        _say(f"{names} missing: tests that need it are skipped. Install it, or run as root where apt-get is")
        return
    _say(f"installing {names} with apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--quiet", "--quiet", "--no-install-recommends", *packages]
    if _run(install, environment):
        return
    if not (_run(["apt-get", "update", "--quiet", "--quiet"], environment) and _run(install, environment)):
        _say(f"{names} cannot be installed: tests that need it are skipped")


def _install_node_packages() -> None:
    folders = [folder for folder in _NODE_FOLDERS if (folder / "package.json").exists()]
    if folders and (shutil.which("node") is None or shutil.which("npm") is None):
        _say("node and npm are not there: the tests with Node.js are skipped")
        return
    for folder in folders:
        if not _is_installed(folder):
            _install_node_packages_of(folder)


def _install_node_packages_of(folder: Path) -> None:
    name = folder.relative_to(ROOT)
    _say(f"installing the Node.js packages of {name}")
    locked = (folder / "package-lock.json").exists()
    install = ["npm", "ci"] if locked else ["npm", "install", "--no-package-lock"]
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
    if not _run([*install, *options], dict(os.environ)):
        _say(f"the Node.js packages of {name} cannot be installed: its tests are skipped")


def _is_installed(folder: Path) -> bool:
    """Whether what npm installed last is not older than what says what to install."""
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
