"""The protocol as a client on another language's library sees it: Node with `ws`, written from docs/protocol.md alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.requirements import skip_without
from tests.support.target import Target

pytestmark = pytest.mark.integration

FOLDER = Path(__file__).parent / "node"
DEADLINE_S = 60


def test_node_client(target: Target) -> None:
    node = shutil.which("node")
    if node is None:
        skip_without("node")
    if not (FOLDER / "node_modules" / "ws").is_dir():
        skip_without("the npm package ws")
    if not target.has_debug:
        pytest.skip("the debug endpoint is off there")
    done = subprocess.run(
        [node, "check.mjs", target.ws_url, target.api_key],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("hold") == 6
