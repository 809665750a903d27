"""A slope is what the points say."""

from __future__ import annotations

import pytest

from benchmarks.load.counts import Run, Times
from benchmarks.scenarios.base import FULL, SMALL, Measured, Size
from benchmarks.scenarios.growth import CHANNELS, IDLE, MEMBERS, Growth, cost_us, slope


@pytest.mark.parametrize(
    ("costs", "exponent"),
    [({10: 5.0, 100: 5.0, 1_000: 5.0}, 0.0), ({10: 1.0, 100: 10.0, 1_000: 100.0}, 1.0), ({10: 10.0, 1_000: 1.0}, -0.5)],
)
def test_the_slope_is_the_exponent_of_the_size(costs: dict[int, float], exponent: float) -> None:
    assert slope(costs) == pytest.approx(exponent)


def test_change_and_slope_are_of_what_is_to_be_flat() -> None:
    figures = MEMBERS.fit({10: 90.0, 100: 10.0, 1_000: 10.0, 10_000: 11.0, 19_000: 50.0}, 16)
    assert figures["w16_change"] == pytest.approx(10.0)
    assert 0 < figures["w16_slope"] < 0.05
    assert figures["w16_10_us"] == 90.0


@pytest.mark.parametrize("growth", [MEMBERS, CHANNELS, IDLE])
@pytest.mark.parametrize("size", [SMALL, FULL])
def test_every_figure_that_is_announced_is_found(growth: Growth, size: Size) -> None:
    costs = dict.fromkeys(growth.counts(size), 1.0)
    found = {*growth.fit(costs, 1), *growth.fit(costs, 16)}
    at_rest = {f"rest_{count}_ms" for count in costs} if growth.has_rest else set()
    assert found | at_rest == {figure.key for figure in growth.figures(size)}


def test_what_is_spent_at_rest_is_no_part_of_what_a_message_costs() -> None:
    none = Times(0, 0.0, 0.0, 0.0, 0.0, 0.0, ())
    run = Run(2.0, 0.1, 1_000, 10_000, 10_000, 1_000, none, none, none, ())
    measured = Measured(run, {}, cpu_seconds=1.2)
    assert cost_us(measured, 1_000, at_rest=0.1) == pytest.approx(1_000.0)
    assert cost_us(measured, 1_000) == pytest.approx(1_200.0)
