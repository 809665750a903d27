"""Which of what was measured belongs to which moment."""

from __future__ import annotations

from tests.soak.comparison import MOMENT_S, NOT_LOOKED_AT_S, Moment, in_moment
from tests.soak.latency import Measured

STEP_S = 0.1


def test_a_moment_has_what_was_due_in_it_but_for_its_first_part() -> None:
    measured = [Measured(0, number * STEP_S, float(number)) for number in range(1000)]
    for began_s in (0.0, 40.05, 97.95):
        expected = [one.latency_s for one in measured if began_s + NOT_LOOKED_AT_S <= one.due_s < began_s + MOMENT_S]
        assert len(expected) >= 15
        assert in_moment(measured, Moment(began_s, 1.0)) == expected


def test_a_moment_in_which_nothing_was_due() -> None:
    assert in_moment([Measured(0, 1.0, 0.1)], Moment(50.0, 1.0)) == []
    assert in_moment([], Moment(50.0, 1.0)) == []
