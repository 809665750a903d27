from __future__ import annotations

import random

import pytest

from tests.soak.trend import Finding, TooFewSamples, Trend, joined, trend_at_one_pace, trend_of


def samples(count: int, slope: float, noise: float, seed: int = 1) -> list[tuple[float, float]]:
    rng = random.Random(seed)
    return [(float(n), 100 + slope * n + rng.uniform(-noise, noise)) for n in range(count)]


def test_a_line_is_found() -> None:
    trend = trend_of([(n, 10 + 2 * n) for n in range(11)])
    assert (trend.first, trend.last, trend.growth) == pytest.approx((10, 30, 2.0))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [20, 200, 3600])
def test_noise_is_no_growth_and_a_leak_is(count: int, seed: int) -> None:
    assert abs(trend_of(samples(count, 0.0, 5.0, seed)).growth) < 0.05
    assert trend_of(samples(count, 10 / count, 5.0, seed)).growth > 0.05


def test_a_few_outliers_do_not_decide() -> None:
    points = [(at, 1000.0 if n > 95 else value) for n, (at, value) in enumerate(samples(100, 0.0, 1.0))]
    assert abs(trend_of(points).growth) < 0.01


def test_what_shrinks_does_not_grow() -> None:
    assert trend_of(samples(100, -0.5, 1.0)).growth < -0.3


def test_nothing_at_all_does_not_grow() -> None:
    assert trend_of([(float(n), 0.0) for n in range(20)]).growth == 0.0


def test_too_few_samples() -> None:
    with pytest.raises(TooFewSamples, match="7 samples"):
        trend_of(samples(7, 0.0, 1.0))


def on_a_machine_that_slows_down(growth: float, seed: int) -> tuple[list[tuple[float, float]], dict[float, float]]:
    """Return latencies that grow and depend on a pace that wanders, and ends a tenth slower than it began; and the paces."""
    rng = random.Random(seed)
    paces = {float(n): (1 + 0.1 * n / 250) * rng.uniform(0.9, 1.1) for n in range(250)}
    return [(at, 20 * pace**5 * (1 + growth * at / 250) * rng.uniform(0.9, 1.1)) for at, pace in paces.items()], paces


@pytest.mark.parametrize("seed", range(5))
def test_a_machine_that_slows_down_is_no_growth_at_one_pace_and_work_that_grows_is(seed: int) -> None:
    points, paces = on_a_machine_that_slows_down(0.0, seed)
    assert trend_of(points).growth > 0.2
    assert abs(trend_at_one_pace(points, paces).growth) < 0.05
    points, paces = on_a_machine_that_slows_down(0.15, seed)
    assert trend_at_one_pace(points, paces).growth == pytest.approx(0.15, abs=0.05)


def test_a_machine_that_is_never_as_fast_again() -> None:
    with pytest.raises(TooFewSamples, match="0 pairs"):
        trend_at_one_pace([(float(n), 1.0) for n in range(100)], {float(n): 1.05**n for n in range(100)})
    with pytest.raises(TooFewSamples, match="0 pairs"):
        trend_at_one_pace([(float(n), 1.0) for n in range(100)], {})


def test_neighbours_are_put_together() -> None:
    assert joined([(0, 1), (1, 9), (2, 2), (3, 5)], 3) == [(1, 2), (3, 5)]


@pytest.mark.parametrize(
    ("trend", "judged", "grows", "failed"),
    [
        (Trend(100, 104), True, False, False),
        (Trend(100, 120), True, True, True),
        (Trend(100, 120), False, True, False),
        (Trend(10, 12), True, False, False),
        (Trend(100, 50), True, False, False),
    ],
    ids=["within", "beyond", "only told", "below the floor", "shrinks"],
)
def test_what_is_a_fault(trend: Trend, judged: bool, grows: bool, failed: bool) -> None:
    finding = Finding("edge memory", "MiB", trend, allowed=0.05, floor=3.0, judged=judged)
    assert (finding.grows, finding.failed) == (grows, failed)
    assert str(finding).startswith("edge memory: ")
    assert ("GROWS" in str(finding)) == failed
