"""An ordinary install holds everything: contracts under their own names, stubs, scripts of stores, the page, the command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.processes import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.slow]

LEFT_OUT = shutil.ignore_patterns(
    ".git",
    ".venv",
    ".tools",
    "node_modules",
    "__pycache__",
    ".tidewire",
    ".coverage*",
    ".*_cache",
    "build",
    "*.egg-info",
)
BUILD_DEADLINE_S = 100
# One file of each kind that is not Python.
DATA = (
    "tidewire/auth/v1/auth.proto",
    "tidewire/auth/v1/auth_pb2.pyi",
    "tidewire/session/v1/edge_stream_pb2_grpc.pyi",
    "session_service/adapters/engine_sqlite/migrations/0001_initial.sql",
    "ws_edge/static/index.html",
    "tidewire_client/py.typed",
)
IMPORTS = """
from tidewire.auth.v1 import auth_pb2_grpc
from tidewire.edge.v1 import client_frames_pb2
from tidewire.session.v1 import edge_stream_pb2_grpc
import auth_service.app, session_service.app, ws_edge.app, tidewire_client
print(auth_pb2_grpc.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip builds of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT, source, ignore=LEFT_OUT)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    built = subprocess.run([*pip, str(source)], capture_output=True, text=True, timeout=BUILD_DEADLINE_S, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("tidewire-*.whl")
    return wheel


def test_wheel_holds_what_is_not_python_too(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        path.relative_to(ROOT / "protos").as_posix() for path in (ROOT / "protos" / "tidewire").rglob("*_pb2*.py*")
    }
    assert {name for name in (*DATA, *sources) if "__pycache__" not in name} - names == set()
    assert not {name for name in names if name.startswith(("tests", "scripts", "protos"))}


def test_contracts_import_under_their_own_names(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    run = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().startswith(str(site))
