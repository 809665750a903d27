"""Tools for development that come from npm, each in a folder of its own, at one version; skipped without Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.environment import ROOT, SetupError

_TOOLS: Final = ROOT / ".tools"


@dataclass(frozen=True)
class Answer:
    """What a tool says.

    Args:
        passed: Whether it finds nothing.
        skipped: Whether it was not asked.
        words: With what something was compared, or why the tool was not asked.
        output: What it finds.
    """

    passed: bool = False
    skipped: bool = False
    words: str = ""
    output: str = ""


@dataclass(frozen=True)
class NpmTool:
    """A tool.

    Args:
        name: Of its folder, and for people.
        packages: What it is made of, each with its version.
    """

    name: str
    packages: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """Where it is installed."""
        return _TOOLS / self.name

    @property
    def modules(self) -> Path:
        """Where its packages are."""
        return self.folder / "node_modules"

    def command(self, name: str) -> Path:
        """Return the path of a command of one of its packages."""
        return self.modules / ".bin" / name

    def without_node(self) -> Answer | None:
        """Return the answer of a tool that cannot be asked; None where it can."""
        if shutil.which("node") and shutil.which("npm"):
            return None
        return Answer(skipped=True, words=f"{self.name} needs node and npm, which are not there")

    def ensure(self) -> None:
        """Install it if it is not there at these versions. Idempotent.

        Raises:
            SetupError: it cannot be installed.
        """
        stamp, wanted = self.folder / "version", json.dumps(dict(self.packages), sort_keys=True)
        if self.modules.is_dir() and stamp.exists() and stamp.read_text() == wanted:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        packages = [f"{package}@{version}" for package, version in self.packages.items()]
        result = subprocess.run(
            ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", str(self.folder), *packages],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise SetupError(f"{self.name} cannot be installed from npm:\n{result.stdout.strip()}")
        stamp.write_text(wanted)
