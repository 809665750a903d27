"""When a service is started again, and when it is given up."""

from __future__ import annotations

from scripts.supervision.restart_policy import CALM_S, FIRST_DELAY_S, MOST_DELAY_S, WINDOW_S, RestartPolicy


def test_the_wait_doubles_up_to_its_bound() -> None:
    policy = RestartPolicy()
    delays = [policy.crashed(now_s=float(number), ran_for_s=0.5) for number in range(8)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, MOST_DELAY_S, MOST_DELAY_S]


def test_a_service_that_ran_well_is_started_again_at_once() -> None:
    policy = RestartPolicy()
    for number in range(5):
        policy.crashed(now_s=float(number), ran_for_s=0.5)
    assert policy.crashed(now_s=60, ran_for_s=CALM_S) == FIRST_DELAY_S


def test_too_many_crashes_in_a_minute_end_it() -> None:
    policy = RestartPolicy(most_crashes=3)
    assert policy.crashed(now_s=0, ran_for_s=1) is not None
    assert policy.crashed(now_s=1, ran_for_s=1) is not None
    assert policy.crashed(now_s=2, ran_for_s=1) is None


def test_crashes_of_long_ago_do_not_count() -> None:
    policy = RestartPolicy(most_crashes=3)
    for minute in range(10):
        assert policy.crashed(now_s=minute * WINDOW_S, ran_for_s=30) is not None


def test_without_a_bound_it_is_never_given_up() -> None:
    policy = RestartPolicy()
    assert all(policy.crashed(now_s=number / 10, ran_for_s=0.1) is not None for number in range(1000))
