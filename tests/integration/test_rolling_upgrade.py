"""From one version to the next under load, process by process: nothing is lost, and nobody is cut off without a word."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.ledger.run import Plan, run
from tests.ledger.system import Size, System
from tests.support.previous_version import previous_version
from tests.support.requirements import skip_without

pytestmark = [pytest.mark.integration, pytest.mark.slow]

GOING_AWAY, TRY_AGAIN_LATER = 1001, 1013


@pytest.mark.timeout(300)
async def test_every_service_is_replaced_by_its_next_version_in_any_order(tmp_path: Path) -> None:
    """Old and new ones work together meanwhile, in both directions."""
    if shutil.which("redis-server") is None:
        skip_without("redis-server")
    old = previous_version(tmp_path / "old")
    size = Size(edges=2, sessions=2, auths=2, store="redis")
    plan = Plan(clients=100, seconds=5, renew_every_s=1.0, seed=random.randrange(1_000_000))
    system = System(tmp_path, size, version=old)
    report = await run(plan, system)
    text = f"{report.as_text()}\n{report.as_json()[:5000]}"
    assert {event.whom for event in report.events} == {process.name for process in system.processes}, text
    assert all(event.what == "renew" for event in report.events), text
    assert report.faults.found == {}, text
    assert report.mishaps == [], text
    assert report.passed, text
    assert report.totals()["confirmed"] > 100, text
    # Who comes to an edge that is on its way out is told to try again; nobody is left without a word (1006).
    assert report.closes.keys() <= {GOING_AWAY, TRY_AGAIN_LATER}, report.closes
    assert report.closes[GOING_AWAY] >= plan.clients, "every client was on an edge that was replaced"
