"""What a verification costs a key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_service.core.charging import UNUSED, Charge, Uses, cells_of, charge, charged
from auth_service.core.keys import KeyRecord, VerificationRate
from auth_service.core.verification import Verdict, VerdictCode
from tests.unit.auth_service.fakes import a_record

NOW_US = 1_800_000_000_000_000
VALID, LIMITED, EXCEEDED = VerdictCode.VALID, VerdictCode.RATE_LIMITED, VerdictCode.USAGE_EXCEEDED


def rated(verifications: int, period_ms: int, max_uses: int = 0) -> KeyRecord:
    return a_record(verification_rate=VerificationRate(verifications, period_ms), max_uses=max_uses)


def valid_of(record: KeyRecord, moments_us: list[int], uses: Uses = UNUSED) -> list[int]:
    """Return the moments at which a verification was good."""
    good = []
    for moment_us in moments_us:
        answer, uses = charge(record, uses, moment_us)
        if answer.code is VALID:
            good.append(moment_us)
    return good


def test_a_burst_may_come_at_once_then_one_each_interval() -> None:
    record = rated(4, 1000)
    assert len(valid_of(record, [NOW_US] * 9)) == 4
    every_50_ms = [NOW_US + 50_000 * turn for turn in range(41)]
    good = valid_of(record, [NOW_US] * 4 + every_50_ms)[4:]
    assert [moment - NOW_US for moment in good] == [250_000 * turn for turn in range(1, 9)]


def test_a_denial_says_when_the_next_one_fits_and_costs_nothing() -> None:
    record = rated(2, 1000, max_uses=10)
    uses = UNUSED
    for _ in range(2):
        _, uses = charge(record, uses, NOW_US)
    denied, after = charge(record, uses, NOW_US + 1)
    assert denied == Charge(LIMITED, retry_after_ms=500)
    assert after == uses
    assert charge(record, uses, NOW_US + 499_999)[0] == Charge(LIMITED, retry_after_ms=1)
    assert charge(record, uses, NOW_US + 500_000)[0] == Charge(VALID, remaining_uses=7)


def test_the_rate_comes_before_the_uses() -> None:
    _, uses = charge(rated(1, 1000, max_uses=1), UNUSED, NOW_US)
    assert charge(rated(1, 1000, max_uses=1), uses, NOW_US)[0].code is LIMITED
    assert charge(rated(1, 1000, max_uses=1), uses, NOW_US + 10**6) == (Charge(EXCEEDED), uses)


def test_uses_are_counted_down_to_none() -> None:
    record, uses, told = a_record(max_uses=3), UNUSED, []
    for _ in range(5):
        answer, uses = charge(record, uses, NOW_US)
        told.append((answer.code, answer.remaining_uses))
    assert told == [(VALID, 2), (VALID, 1), (VALID, 0), (EXCEEDED, None), (EXCEEDED, None)]
    assert uses == Uses(use_count=3)


def test_a_rate_alone_counts_no_uses_and_keeps_those_that_were_counted() -> None:
    answer, uses = charge(rated(1, 1000), Uses(use_count=7), NOW_US)
    assert (answer, uses.use_count) == (Charge(VALID), 7)


def test_a_bound_that_was_lowered_below_what_was_used_is_exceeded() -> None:
    assert charge(a_record(max_uses=3), Uses(use_count=7), NOW_US)[0] == Charge(EXCEEDED)


def test_a_clock_set_back_or_a_rate_made_shorter_costs_one_period_at_most() -> None:
    record = rated(2, 1000)
    far = Uses(full_at_us=NOW_US + 10**15)
    assert charge(record, far, NOW_US)[0] == Charge(LIMITED, retry_after_ms=500)
    assert charge(rated(1, 1000), far, NOW_US)[0] == Charge(LIMITED, retry_after_ms=1000)


def test_what_a_clock_set_back_costs_passes() -> None:
    record = rated(2, 1000, max_uses=10)
    answer, uses = charge(record, Uses(use_count=3, full_at_us=NOW_US + 10**15), NOW_US)
    assert (answer.code, uses) == (VerdictCode.RATE_LIMITED, Uses(3, NOW_US + 1_000_000))
    again, same = charge(record, uses, NOW_US + 499_999)
    assert (again.code, same) == (VerdictCode.RATE_LIMITED, uses), "a denial writes nothing else"
    assert charge(record, uses, NOW_US + 500_000)[0].code is VerdictCode.VALID


@pytest.mark.parametrize(
    ("verifications", "period_ms", "interval_us"),
    [(1, 1000, 1_000_000), (3, 1000, 333_334), (1_000_000, 1000, 1), (1, 31 * 86_400_000, 31 * 86_400_000_000)],
)
def test_an_interval_is_rounded_up(verifications: int, period_ms: int, interval_us: int) -> None:
    assert cells_of(VerificationRate(verifications, period_ms)) == (verifications, interval_us)
    assert len(valid_of(rated(min(verifications, 50), period_ms), [NOW_US] * 60)) == min(verifications, 50)


@given(
    st.integers(1, 20),
    st.integers(1000, 5000),
    st.lists(st.integers(0, 400_000), min_size=1, max_size=120),
)
def test_in_any_stretch_of_time_no_more_than_a_burst_and_what_came_back(
    verifications: int, period_ms: int, steps_us: list[int]
) -> None:
    record = rated(verifications, period_ms)
    moments, moment = [], NOW_US
    for step in steps_us:
        moment += step
        moments.append(moment)
    good = valid_of(record, moments)
    interval_us = cells_of(VerificationRate(verifications, period_ms)).interval_us
    for first in range(len(good)):
        for last in range(first, len(good)):
            assert last - first + 1 <= verifications + (good[last] - good[first]) // interval_us


@given(st.integers(1, 20), st.integers(1000, 5000), st.integers(1, 50))
def test_who_waits_as_long_as_told_is_let_in(verifications: int, period_ms: int, tries: int) -> None:
    record, uses, now_us = rated(verifications, period_ms), UNUSED, NOW_US
    for _ in range(tries):
        answer, uses = charge(record, uses, now_us)
        if answer.code is LIMITED:
            assert answer.retry_after_ms > 0
            now_us += answer.retry_after_ms * 1000
            answer, uses = charge(record, uses, now_us)
            assert answer.code is VALID


def test_a_charge_makes_a_verdict_that_nobody_may_keep() -> None:
    verdict = Verdict(VALID, 5, 1000, "k1", "team", ("join:*",), expire_ms=7)
    good = charged(verdict, Charge(VALID, remaining_uses=3))
    assert good == Verdict(VALID, 5, 0, "k1", "team", ("join:*",), expire_ms=7, remaining_uses=3)
    assert charged(verdict, Charge(LIMITED, 20)) == Verdict(LIMITED, 5, 0, "k1", expire_ms=7, retry_after_ms=20)
    assert charged(verdict, Charge(EXCEEDED)) == Verdict(EXCEEDED, 5, 0, "k1", expire_ms=7)
