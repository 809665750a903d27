from __future__ import annotations

import random

import pytest

from tests.soak.trend import Finding, TooFewSamples, Trend, joined, trend_of


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


@pytest.mark.parametrize(
    ("last", "likely", "verdict"),
    [
        (1.02, (0.00, 0.04), "steady"),
        (1.02, (-0.03, 0.07), "not seen to grow"),
        (1.08, (-0.03, 0.19), "not seen to grow"),
        (1.08, (0.03, 0.13), "GROWS"),
        (1.03, (0.01, 0.06), "not seen to grow"),
        (0.90, (-0.15, -0.05), "steady"),
    ],
)
def test_what_is_only_likely(last: float, likely: tuple[float, float], verdict: str) -> None:
    finding = Finding("latency", "times", Trend(1.0, last), allowed=0.05, floor=0.0, judged=True, likely=likely)
    assert str(finding).endswith(f" at 95 %), {verdict}")
    assert finding.failed == (verdict == "GROWS")
