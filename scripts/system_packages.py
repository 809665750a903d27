"""What tests need besides Python: Debian packages and the packages of an independent Node.js client.

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
_NODE_CLIENT: Final = ROOT / "tests" / "protocol" / "node"


def prepare() -> None:
    """Install what is missing, where that is possible."""
    missing = [package for command, package in _DEBIAN.items() if shutil.which(command) is None]
    if missing:
        _install_debian(missing)
    _install_node_client()


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


def _install_node_client() -> None:
    if not (_NODE_CLIENT / "package.json").exists():
        return
    if shutil.which("node") is None or shutil.which("npm") is None:
        _say("node and npm are not there: the tests with an independent Node.js client are skipped")
        return
    if _is_installed(_NODE_CLIENT):
        return
    _say("installing the packages of the independent Node.js client")
    locked = (_NODE_CLIENT / "package-lock.json").exists()
    install = ["npm", "ci"] if locked else ["npm", "install", "--no-package-lock"]
    if not _run([*install, "--no-audit", "--no-fund", "--prefix", str(_NODE_CLIENT)], dict(os.environ)):
        _say("the packages of the independent Node.js client cannot be installed: its tests are skipped")


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
