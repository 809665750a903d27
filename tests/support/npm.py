"""The npm packages of `frontend/`, as `manage.py test` installed them."""

from __future__ import annotations

import fcntl
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


def build_client() -> None:
    """Make the client's `dist/` if its sources are newer; once, however many test processes ask at the same time."""
    with (FRONTEND / "node_modules" / ".build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_built():
            run_script(CLIENT, "build")


def _is_built() -> bool:
    # The types are made last.
    made = CLIENT / "dist" / "index.d.ts"
    sources = [*CLIENT.glob("src/*.ts"), *CLIENT.glob("*.mjs"), *CLIENT.glob("*.json"), FRONTEND / "package-lock.json"]
    return made.exists() and all(made.stat().st_mtime > source.stat().st_mtime for source in sources)


def node() -> str:
    """Return the path of `node`; see `program`."""
    return program("node")
