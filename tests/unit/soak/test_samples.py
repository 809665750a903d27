from __future__ import annotations

import random

from tests.soak.plan import Plan
from tests.soak.samples import CORES, Series, findings_of


def series_of(latency_grows_by: float, *, with_paces: bool) -> Series:
    """An hour in which the machine becomes a tenth slower, and latency with it by half, and by more."""
    rng, series = random.Random(3), Series()
    for number in range(300):
        at_s, part = 12.0 * number, number / 300
        pace = (1 + 0.1 * part) * rng.uniform(0.9, 1.1)
        series.add("latency median", "ms", at_s, 20 * pace**5 * (1 + latency_grows_by * part))
        series.add("ws_edge memory", "MiB", at_s, 80.0)
        if with_paces and number:
            series.add("load processor", CORES, at_s, pace / 2)
    return series


def verdicts(series: Series, plan: Plan) -> dict[str, tuple[bool, bool]]:
    """Return of each finding whether it is judged, and failed."""
    return {finding.name: (finding.judged, finding.failed) for finding in findings_of(series, plan)}


def test_latency_is_told_as_it_is_and_judged_at_one_pace() -> None:
    assert verdicts(series_of(0.0, with_paces=True), Plan(60)) == {
        "latency median": (False, False),
        "latency median at one pace": (True, False),
        "ws_edge memory": (True, False),
        "load processor": (False, False),
    }
    assert verdicts(series_of(0.2, with_paces=True), Plan(60))["latency median at one pace"] == (True, True)


def test_without_paces_latency_is_judged_as_it_is() -> None:
    assert verdicts(series_of(0.0, with_paces=False), Plan(60)) == {
        "latency median": (True, True),
        "ws_edge memory": (True, False),
    }


def test_beside_other_work_latency_is_only_told() -> None:
    plan = Plan(60, judge_latency=False)
    assert verdicts(series_of(0.2, with_paces=True), plan)["latency median at one pace"] == (False, False)
    assert verdicts(series_of(0.2, with_paces=False), plan)["latency median"] == (False, False)
