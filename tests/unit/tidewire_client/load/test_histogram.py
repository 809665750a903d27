"""Times in buckets: exact where they are small, within 1/128 elsewhere, in bounded memory."""

from __future__ import annotations

import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire_client.load.histogram import LARGEST_US, Histogram

TIMES = st.lists(st.integers(0, LARGEST_US), min_size=1, max_size=200)


def counted(times: list[int]) -> Histogram:
    histogram = Histogram()
    for time_us in times:
        histogram.record(time_us)
    return histogram


@given(TIMES, st.floats(0, 1))
def test_a_quantile_is_never_too_low_and_little_too_high(times: list[int], part: float) -> None:
    ordered = sorted(times)
    true = ordered[max(0, -int(-part * len(times) // 1) - 1)]
    found = counted(times).quantile_us(part)
    assert found is not None
    assert true <= found <= true * (1 + 1 / 128) + 1e-9


@given(TIMES, TIMES)
def test_two_together_are_as_one_that_counted_all(one: list[int], other: list[int]) -> None:
    both, all_at_once = Histogram.of([counted(one), counted(other)]), counted(one + other)
    assert list(both.buckets()) == list(all_at_once.buckets())
    assert (both.count, both.total_us, both.largest_us, both.smallest_us) == (
        all_at_once.count,
        all_at_once.total_us,
        all_at_once.largest_us,
        all_at_once.smallest_us,
    )


def test_memory_is_bounded() -> None:
    rng = random.Random(7)
    histogram = counted([int(2 ** rng.uniform(0, 36)) for _ in range(200_000)])
    assert histogram.count == 200_000
    assert len(list(histogram.buckets())) < 4_000


def test_what_is_out_of_bounds_counts_as_the_bound() -> None:
    histogram = counted([-5, LARGEST_US + 1])
    assert (histogram.smallest_us, histogram.largest_us) == (0, LARGEST_US)
    assert histogram.quantile_us(1.0) == LARGEST_US


def test_nothing_counted_has_no_quantile() -> None:
    assert not Histogram()
    assert Histogram().quantile_us(0.5) is None
    assert Histogram().quantile_ms(0.5) is None


@pytest.mark.parametrize(("part", "expected"), [(0.0, 1), (0.5, 5), (0.9, 9), (0.99, 10), (1.0, 10)])
def test_quantiles_of_ten(part: float, expected: int) -> None:
    assert counted(list(range(1, 11))).quantile_us(part) == expected


@given(TIMES)
def test_it_crosses_between_processes(times: list[int]) -> None:
    histogram = counted(times)
    copy = pickle.loads(pickle.dumps(histogram))
    assert list(copy.buckets()) == list(histogram.buckets())
    assert (copy.count, copy.largest_us) == (histogram.count, histogram.largest_us)
