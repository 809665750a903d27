"""The site of the documents, built by the command."""

from __future__ import annotations

import fcntl
from pathlib import Path

from scripts.site import SITE
from tests.support.commands import run_script
from tests.support.processes import ROOT


def build_site(directory: Path) -> Path:
    """Build the site, and return its folder; one test process after the other.

    Args:
        directory: For the command's output.
    """
    with (ROOT / "mkdocs.yml").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = run_script("manage.py", "docs", "--this-python", directory=directory)
    assert command.process.returncode == 0, command.out + command.err
    return SITE
