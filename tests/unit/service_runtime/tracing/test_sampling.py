"""Which work is traced."""

from __future__ import annotations

from random import Random

import pytest

from service_runtime.tracing.sampling import Sampler
from service_runtime.tracing.traceparent import TraceParent

SAMPLED = TraceParent("1" * 32, "1" * 16, True)
UNSAMPLED = TraceParent("1" * 32, "1" * 16, False)


class World:
    def __init__(self, ratio: float, max_per_second: int = 1_000_000) -> None:
        self.now_s = 0.0
        self.left_out = 0
        self.sampler = Sampler(
            ratio,
            max_per_second,
            random=Random(7).random,
            monotonic=lambda: self.now_s,
            left_out=self.leave_out,
        )

    def leave_out(self) -> None:
        self.left_out += 1


@pytest.mark.parametrize("ratio", [0.001, 1.0])
def test_what_has_a_parent_is_sampled_as_that_is(ratio: float) -> None:
    sampler = World(ratio).sampler
    assert all(sampler.wants(SAMPLED) for _ in range(100))
    assert not any(sampler.wants(UNSAMPLED) for _ in range(100))


@pytest.mark.parametrize("ratio", [0.01, 0.3, 0.9])
def test_what_has_none_is_sampled_by_the_ratio(ratio: float) -> None:
    sampler = World(ratio).sampler
    wanted = sum(sampler.wants(None) for _ in range(20_000))
    assert wanted == pytest.approx(20_000 * ratio, rel=0.2)


@pytest.mark.parametrize("ratio", [0.01, 0.3, 0.9])
def test_steps_come_to_the_same(ratio: float) -> None:
    sampler = World(ratio).sampler
    steps = [sampler.steps() for _ in range(20_000)]
    assert min(steps) == 1
    assert 20_000 / sum(steps) == pytest.approx(ratio, rel=0.05)


def test_with_a_ratio_of_one_each_is_the_next() -> None:
    sampler = World(1.0).sampler
    assert {sampler.steps() for _ in range(10)} == {1}
    assert sampler.wants(None)


def test_a_second_has_room_for_so_many_and_the_rest_is_counted() -> None:
    world = World(1.0, max_per_second=3)
    assert [world.sampler.wants(SAMPLED) for _ in range(5)] == [True, True, True, False, False]
    assert world.left_out == 2
    world.now_s = 1.0
    assert world.sampler.wants(None)
    assert world.left_out == 2


def test_what_is_not_wanted_takes_no_room() -> None:
    world = World(1.0, max_per_second=1)
    assert not world.sampler.wants(UNSAMPLED)
    assert world.sampler.wants(SAMPLED)
    assert world.left_out == 0
