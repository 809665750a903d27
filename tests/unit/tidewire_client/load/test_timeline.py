"""Points over time, and whether something grows."""

from __future__ import annotations

import pytest

from tidewire_client.load.timeline import MOST_POINTS, Timeline, growth_percent


def test_moments_find_their_points() -> None:
    timeline = Timeline(100.0)
    timeline.at(100.2).sent += 1
    timeline.at(102.9).sent += 5
    timeline.at(99.0).sent += 1  # a little before the beginning: another clock reading
    assert [point.sent for point in timeline.points] == [2, 0, 5]
    assert [record["sent_per_s"] for record in timeline.records()] == [2, 0, 5]
    assert [record["at_s"] for record in timeline.records()] == [0, 1, 2]


def test_however_long_it_goes_on_points_are_bounded_and_nothing_is_lost() -> None:
    timeline = Timeline(0.0)
    for second in range(5000):
        point = timeline.at(second + 0.5)
        point.delivered += 2
        point.latency.record(1000)
        point.memory_bytes = second
        point.open = second
    assert len(timeline.points) <= MOST_POINTS
    assert sum(point.delivered for point in timeline.points) == 10_000
    assert sum(point.latency.count for point in timeline.points) == 5_000
    assert timeline.step_s == 32.0
    assert all(point.seconds == timeline.step_s for point in timeline.points)
    assert timeline.points[-1].memory_bytes == timeline.points[-1].open == 4999
    full = timeline.records()[10]
    assert (full["delivered_per_s"], full["at_s"]) == (2.0, 320.0)


def test_a_point_in_which_nothing_came_has_no_times() -> None:
    timeline = Timeline(0.0)
    timeline.at(0.0)
    (record,) = timeline.records()
    assert (record["p50_ms"], record["p99_ms"], record["memory_bytes"]) == (None, None, None)


@pytest.mark.parametrize(
    ("values", "percent"),
    [
        ([10.0] * 9, 0.0),
        ([10.0, 10, 10, 12, 12, 12, 15, 15, 15], 50.0),
        ([20.0, 20, 20, 20, 10, 10], -50.0),
        # One that stands out moves nothing.
        ([10.0, 10, 10, 10, 10, 10, 10, 900, 10], 0.0),
        ([10.0, None, 10, None, 12, 12, 15, 15], 50.0),
        ([1.0, 2, 3], None),
        ([], None),
        ([0.0] * 9, None),
    ],
)
def test_growth(values: list[float | None], percent: float | None) -> None:
    assert growth_percent(values) == (None if percent is None else pytest.approx(percent))
