"""Services that run for a while at a low load with churn: memory, open files and tasks do not grow, and nothing is lost.

A soak of an hour at 70 % of what the machine can do is `python -m tests.soak`.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.comparison import PARTS
from tests.soak.latency import RATE as RATE_OF_PROBE
from tests.soak.plan import Plan
from tests.soak.run import soak
from tests.soak.samples import QUANTILES
from tests.support.processes import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# Of the leak check, warm-up included; what CI takes is in `.ci/run`.
MINUTES = float(os.environ.get("TIDEWIRE_TEST_SOAK_MINUTES", "2"))
# So little that other tests may run beside it.
RATE = 40.0


@pytest.mark.timeout(60 * MINUTES + 180)
async def test_nothing_grows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan(MINUTES, rate=RATE, channels=5, members=4, churn_s=0.5, comparison=0.0)
    told: list[str] = []
    report = await soak(plan, tmp_path, told.append)
    with capsys.disabled():
        print(f"\n{report.as_text()}")
    assert report.faults == {}, report.as_text()
    assert [str(finding) for finding in report.findings if finding.failed] == []
    assert report.confirmed >= 0.9 * RATE * plan.seconds - report.refused.total(), report.as_text()
    assert min(report.churn.values()) > plan.seconds / 4, "there was churn of each kind"
    assert len(report.churn) == 3
    assert told[0] == "40 messages a second"
    assert len(told) > 1
    assert all("ws_edge memory" in line for line in told[1:])
    assert report.passed


@pytest.mark.timeout(180)
async def test_services_that_rested_have_the_same_load_for_comparison(tmp_path: Path) -> None:
    plan = Plan(minutes=0.25, rate=RATE, channels=2, members=2)
    report = await soak(plan, tmp_path, lambda _: None)
    assert report.faults == {}, report.as_text()
    assert [comparison.share for comparison in report.comparisons] == [*PARTS, *PARTS], "early and late"
    for comparison in report.comparisons:
        assert len(comparison.latencies_s) == len(comparison.cpu_s) >= 1
        for latencies_s in itertools.chain.from_iterable(comparison.latencies_s):
            assert len(latencies_s) > RATE_OF_PROBE / 2, (
                "each moment was measured, of those that work and those that rest"
            )
            assert min(latencies_s) > 0
        assert min(itertools.chain.from_iterable(comparison.cpu_s)) > 0
    compared = [finding for finding in report.findings if finding.likely is not None]
    assert len(compared) == len(PARTS) * (len(QUANTILES) + 1), report.as_text()
    assert all(("latency" in finding.name) == finding.judged for finding in compared)


def test_wrong_use() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--minutes", "0"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ended.returncode == 2
    assert "--minutes" in ended.stderr
