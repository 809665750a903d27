"""The npm packages of `frontend/`, as `manage.py test` installed them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.processes import ROOT
from tests.support.requirements import skip_without

FRONTEND = ROOT / "frontend"
CLIENT = FRONTEND / "packages" / "tidewire-client"
DEADLINE_S = 280


def program(name: str) -> str:
    """Return the path of `node` or `npm`; skip the test where it or the installed packages are missing."""
    found = shutil.which(name)
    if found is None:
        skip_without(name)
    if not (FRONTEND / "node_modules" / ".package-lock.json").is_file():
        skip_without("the npm packages of frontend/")
    return found


def run_script(package: Path, script: str) -> None:
    """Run a script of a package's `package.json`; fail with what it said if it does."""
    done = subprocess.run(
        [program("npm"), "run", "--silent", script],
        cwd=package,
        env={**os.environ, "CI": "1", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def node() -> str:
    """Return the path of `node`; see `program`."""
    return program("node")
