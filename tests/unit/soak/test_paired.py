from __future__ import annotations

import random

import pytest

from tests.soak.paired import Pair, growth_of, quantile, ratio_of


def pairs(ratio: float, seed: int, machine: float = 1.0, count: int = 300) -> list[Pair]:
    """Latencies on a machine that becomes three times as slow and as fast again, of which those of the one are longer."""
    rng = random.Random(seed)
    made: list[Pair] = []
    for _ in range(count):
        pace = machine * rng.choice((1.0, 1.0, 3.0))
        one, other = ([pace * rng.lognormvariate(0, 0.5) for _ in range(50)] for _ in range(2))
        made.append(([ratio * value for value in one], other))
    return made


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("growth", [0.0, 0.1, -0.1])
def test_growth_is_found_whatever_the_machine_does(growth: float, seed: int) -> None:
    found = growth_of(pairs(1.2, seed), pairs(1.2 * (1 + growth), seed + 100, machine=1.5), 0.5)
    assert found.early == pytest.approx(1.2, rel=0.03)
    assert found.late / found.early - 1 == pytest.approx(growth, abs=0.04)
    assert found.low < growth < found.high
    assert found.high - found.low < 0.1


def test_of_fewer_pairs_less_is_known() -> None:
    few, many = (growth_of(pairs(1.0, 1, count=n), pairs(1.0, 2, count=n), 0.5) for n in (20, 320))
    assert few.high - few.low > 2 * (many.high - many.low)


def test_the_ratio_is_that_of_all_moments_together() -> None:
    assert ratio_of([([2.0, 4.0], [1.0]), ([6.0], [2.0, 3.0])], 0.5) == 4.0 / 2.0


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 2), (0.51, 3), (0.99, 4), (1.0, 4)])
def test_quantile(share: float, value: float) -> None:
    assert quantile([4, 3, 2, 1], share) == value


def test_of_nothing_nothing_is_known() -> None:
    with pytest.raises(ValueError, match="no values"):
        growth_of([([], [1.0])], [([1.0], [1.0])], 0.5)
