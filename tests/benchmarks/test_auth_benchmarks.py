"""The benchmarks of the auth service, with little work: every figure is there, and the services answer as they should."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.processes import ROOT

pytestmark = pytest.mark.integration

DEADLINE_S = 110.0


def figures(module: str, *options: str) -> dict[str, Any]:
    """Run a benchmark; return its figures by name."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *options, "--json"]
    ended = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return {figure["name"]: figure["value"] for figure in json.loads(ended.stdout)["figures"]}


@pytest.mark.slow
def test_what_a_verification_costs() -> None:
    found = figures("verification", "--stores=SQLite", "--keys=64", "--rounds=1", "--calls=64")
    costs = [name for name in found if name.endswith("VerifyKey / echo, server CPU a call")]
    assert len(costs) == 3, "a few keys; a few of many; all of many"
    assert all(value > 0 for value in found.values())


def test_until_the_last_connection_is_closed() -> None:
    found = figures("revocation", "--connections=40", "--edges=2", "--keys=4")
    for change in ("narrowed", "revoked", "disabled", "expired"):
        told = {name: value for name, value in found.items() if change in name}
        assert len(told) >= 4, found
        assert all(value > 0 for value in told.values()), told
