"""Short runs of the ledger: whatever is killed or cut meanwhile, nothing confirmed is lost, doubled or moved.

The long ones are `python -m tests.ledger`.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ledger.report import Report
from tests.ledger.run import Plan, run
from tests.ledger.system import Size, System, Victim
from tests.support.processes import ROOT
from tests.support.requirements import skip_without
from tests.support.target import Target

pytestmark = pytest.mark.integration

DOORS = 20


def check(report: Report) -> None:
    """Fail, with the whole report, unless everything is accounted for and something happened at all."""
    text = f"{report.as_text()}\n{report.as_json()[:5000]}"
    assert report.faults.found == {}, text
    assert report.mishaps == [], text
    assert report.count("fell") == 0, text
    totals = report.totals()
    assert totals["confirmed"] == totals["published"] == totals["kept_in_histories"], text
    assert totals["received"] == totals["expected"] > totals["confirmed"], text
    assert totals["unanswered"] == 0, text
    assert all(row.connected and row.caught_up for row in report.rows), text
    assert report.passed


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_every_process_and_redis_is_killed(tmp_path: Path) -> None:
    if shutil.which("redis-server") is None:
        skip_without("redis-server")
    size = Size(edges=3, sessions=2, auths=2, store="redis")
    plan = Plan(seconds=60, kill_every_s=5, seed=random.randrange(1_000_000))
    report = await run(plan, System(tmp_path, size))
    check(report)
    killed = report.totals()["killed"]
    assert killed["redis"] >= 1
    assert len(killed) == size.edges + size.sessions + size.auths + 1, "each was killed"
    assert report.reconnects >= plan.clients, "edges were killed under their clients"
    assert report.totals()["confirmed"] > 1000


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_one_process_of_each_on_sqlite_is_killed(tmp_path: Path) -> None:
    size = Size(edges=1, sessions=1, auths=1, store="sqlite")
    plan = Plan(seconds=30, kill_every_s=5, seed=random.randrange(1_000_000))
    report = await run(plan, System(tmp_path, size))
    check(report)
    assert len(report.totals()["killed"]) == size.edges + size.sessions + size.auths, "each was killed"
    assert report.reconnects >= plan.clients, "the only edge was killed under its clients"
    assert report.totals()["confirmed"] > 500


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_connections_are_cut_in_the_middle_of_a_frame(tmp_path: Path) -> None:
    size = Size(edges=2, sessions=1, auths=1, store="sqlite")
    plan = Plan(seconds=30, cut=(0.3, 2.0), seed=random.randrange(1_000_000))
    report = await run(plan, System(tmp_path, size, DOORS))
    check(report)
    assert report.proxy is not None
    assert report.count("cut") >= 2
    assert report.count("swallow") >= 1
    assert report.proxy.cut_in_mid_chunk >= plan.clients // 10, "cuts came in the middle"
    assert report.proxy.swallowed_bytes > 0
    assert report.proxy.refused > 0
    assert report.reconnects >= report.proxy.cut > 0
    assert report.totals()["repeats"] > 0, "some were cut before their confirmation came"
    assert report.totals()["confirmed"] > 1000


class Forgetful(System):
    """On a Redis that keeps nothing over a crash."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, Size(edges=1, sessions=1, auths=1), redis={"appendonly": "no"})

    @property
    def victims(self) -> list[Victim]:
        auth, redis = (v for v in super().victims if v.name in ("auth_service-1", "redis"))

        def crash() -> None:
            redis.crash()
            auth.crash()  # with its start the development keys are there again

        return [replace(redis, crash=crash)]


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_store_that_forgets_is_found_out(tmp_path: Path) -> None:
    if shutil.which("redis-server") is None:
        skip_without("redis-server")
    plan = Plan(clients=20, channels=4, seconds=9, kill_every_s=4, told=True, seed=1)
    report = await run(plan, Forgetful(tmp_path))
    assert report.count("kill") >= 1, "a restart may take as long as the rest of the run"
    assert not report.passed
    assert report.faults.unrecovered > 0, "clients were told"
    assert report.faults.history_missing > 0, "confirmed, and no longer kept"
    assert "FAILED" in report.as_text()


def ledger(*arguments: str, key: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does."""
    return subprocess.run(
        [sys.executable, "-m", "tests.ledger", *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}", "TIDEWIRE_API_KEY": key},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_command_against_a_system_that_runs(target: Target, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    load = ("--clients", "10", "--channels", "4", "--seconds", "2", "--rate", "50", "--workspace", "tests")
    ended = ledger("--url", target.ws_url, *load, "--json", str(file), key=target.api_key)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "PASSED" in ended.stdout
    assert target.api_key not in ended.stdout + ended.stderr + file.read_text()
    report = json.loads(file.read_text())
    assert report["totals"]["confirmed"] > 20
    assert report["totals"]["received"] == report["totals"]["expected"] > report["totals"]["confirmed"]
    assert len(report["clients"]) == 10
    assert set(report["faults"].values()) == {0}


def test_command_fails_where_nobody_gets_in(target: Target) -> None:
    ended = ledger("--url", target.ws_url, "--clients", "1", "--seconds", "1", key="no-such-key")
    assert ended.returncode == 1
    assert "Invalid API key" in ended.stderr
    assert "no-such-key" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--url", "ws://127.0.0.1:1"], "--key-file"),
        (["--url", "ws://127.0.0.1:1", "--key-file", "missing"], "--key-file"),
        (["--url", "ws://127.0.0.1:1", "--cut", "0.3:2"], "not with --url"),
        (["--store", "sqlite", "--sessions", "2"], "--sessions 1"),
        (["--cut", "30"], "--cut"),
    ],
)
def test_wrong_use(arguments: list[str], words: str) -> None:
    ended = ledger(*arguments)
    assert ended.returncode == 2
    assert words in ended.stderr


def test_self_check_by_command() -> None:
    ended = ledger("--self-check")
    assert ended.returncode == 0
    assert "found: lost_message" in ended.stdout
