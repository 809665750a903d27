from __future__ import annotations

from tests.soak.plan import Plan
from tests.soak.samples import CORES, Series, growth_of_series


def test_latency_and_processor_time_are_told_and_memory_is_judged() -> None:
    series = Series()
    for number in range(300):
        for name, unit in (("latency median", "ms"), ("ws_edge memory", "MiB"), ("ws_edge processor", CORES)):
            series.add(name, unit, 12.0 * number, 100 * (1 + number / 300))
    findings = {finding.name: finding for finding in growth_of_series(series, Plan(60))}
    assert all(finding.grows for finding in findings.values())
    assert {name for name, finding in findings.items() if finding.failed} == {"ws_edge memory"}


def test_the_warm_up_is_not_looked_at() -> None:
    series = Series()
    for number in range(300):
        series.add("ws_edge memory", "MiB", 12.0 * number, 100.0 if number < 50 else 150.0)
    assert [finding.trend.growth for finding in growth_of_series(series, Plan(60))] == [0.0]
