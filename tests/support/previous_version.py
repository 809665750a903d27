"""The services as they were before their last change, to run beside the present ones."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.processes import ROOT

PACKAGES = ("auth_service", "session_service", "ws_edge", "tidewire_client", "service_runtime", "protos")


def previous_version(folder: Path) -> Path:
    """Put the source of the services as it was before the newest commit that changed it into a folder, and return that.

    Skips the test where there is no such history.
    """
    newest = _git("log", "-1", "--format=%H", "--", *PACKAGES).decode().strip()
    if not newest or not _git("rev-parse", "--verify", "--quiet", f"{newest}~1"):
        pytest.skip("needs the history of the project: git, and a clone that is not shallow")
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", f"{newest}~1", *PACKAGES))) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _git(*arguments: str) -> bytes:
    """Return what git answers; nothing if it refuses or is not there."""
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False).stdout
    except OSError:
        return b""
