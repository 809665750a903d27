"""Failed attempts, counted by where they came from."""

from __future__ import annotations

import pytest

from auth_service.core.errors import InvalidFieldError
from auth_service.core.throttle import KNOWN_FOR_US, MINUTE_US, Source, Throttle, source_of

NOW_US = 1_800_000_000_000_000
HERE = Source("192.0.2.1", "tw_live_4fK2")
SAME_ADDRESS = Source("192.0.2.1", "tw_live_other")
THERE = Source("192.0.2.2", "tw_live_4fK2")


def a_throttle(per_minute: int = 2, per_minute_of_address: int = 5, size: int = 100) -> Throttle:
    return Throttle(per_minute=per_minute, per_minute_of_address=per_minute_of_address, size=size)


def fail(throttle: Throttle, source: Source, times: int, now_us: int = NOW_US) -> None:
    for _ in range(times):
        throttle.failed(source, now_us)


def test_after_as_many_failures_as_are_allowed_the_next_one_waits() -> None:
    throttle = a_throttle()
    fail(throttle, HERE, 1)
    assert throttle.wait_us(HERE, "", NOW_US) == 0
    fail(throttle, HERE, 1)
    assert throttle.wait_us(HERE, "", NOW_US) == MINUTE_US // 2
    assert throttle.wait_us(HERE, "", NOW_US + MINUTE_US // 2 - 1) == 1
    assert throttle.wait_us(HERE, "", NOW_US + MINUTE_US // 2) == 0


def test_another_address_is_never_affected() -> None:
    throttle = a_throttle()
    assert throttle.wait_us(THERE, "", NOW_US) == 0
    fail(throttle, HERE, 50)
    assert throttle.wait_us(THERE, "", NOW_US) == 0


def test_an_address_is_counted_over_all_its_keys() -> None:
    throttle = a_throttle()
    for number in range(5):
        assert throttle.wait_us(SAME_ADDRESS, "", NOW_US) == 0
        fail(throttle, Source(HERE.address, f"tw_live_{number}"), 1)
    assert throttle.wait_us(SAME_ADDRESS, "", NOW_US) == MINUTE_US // 5


def test_a_key_that_was_good_there_is_let_through_for_a_while() -> None:
    throttle = a_throttle()
    throttle.succeeded(HERE, "k1", NOW_US)
    fail(throttle, HERE, 3)
    assert throttle.wait_us(HERE, "k1", NOW_US) == 0
    assert throttle.wait_us(HERE, "k2", NOW_US) > 0
    assert throttle.wait_us(HERE, "", NOW_US) > 0
    later_us = NOW_US + KNOWN_FOR_US
    fail(throttle, HERE, 3, later_us)
    assert throttle.wait_us(HERE, "k1", later_us - 1) == 0
    assert throttle.wait_us(HERE, "k1", later_us) > 0


def test_what_fails_while_it_has_to_wait_makes_nobody_wait_for_longer() -> None:
    throttle = a_throttle()
    fail(throttle, HERE, 1000)
    assert throttle.wait_us(HERE, "", NOW_US) == MINUTE_US // 2


def test_either_count_can_be_switched_off() -> None:
    throttle = a_throttle(per_minute=0)
    fail(throttle, HERE, 4)
    assert throttle.wait_us(HERE, "", NOW_US) == 0
    fail(throttle, HERE, 1)
    assert throttle.wait_us(SAME_ADDRESS, "", NOW_US) > 0
    throttle = a_throttle(per_minute_of_address=0)
    fail(throttle, HERE, 50)
    assert throttle.wait_us(SAME_ADDRESS, "", NOW_US) == 0
    assert throttle.wait_us(HERE, "", NOW_US) > 0
    throttle = a_throttle(0, 0)
    fail(throttle, HERE, 50)
    assert (throttle.wait_us(HERE, "", NOW_US), throttle.entries) == (0, 0)


def test_tables_are_bounded_and_forget_what_was_not_touched_for_longest() -> None:
    throttle = a_throttle(per_minute=1, per_minute_of_address=0, size=3)
    sources = [Source(f"192.0.2.{number}", "tw") for number in range(4)]
    for source in sources[:3]:
        fail(throttle, source, 1)
        throttle.succeeded(source, "k1", NOW_US)
    for source in (sources[0], sources[3]):
        fail(throttle, source, 1)
        throttle.succeeded(source, "k1", NOW_US)
    assert throttle.entries == 6
    assert [throttle.wait_us(source, "", NOW_US) > 0 for source in sources] == [True, False, True, True]
    fail(throttle, sources[1], 1)
    # The first is known and fails no more than others; the second is no longer known.
    assert [throttle.wait_us(source, "k1", NOW_US) > 0 for source in sources] == [False, True, False, False]


def test_keys_that_were_good_long_ago_are_forgotten() -> None:
    throttle = a_throttle()
    for number in range(5):
        throttle.succeeded(HERE, f"k{number}", NOW_US)
    later_us = NOW_US + KNOWN_FOR_US
    throttle.succeeded(HERE, "new", later_us - 1)
    assert throttle.entries == 6
    entries = []
    for key_id in ("a", "b", "c"):
        throttle.succeeded(HERE, key_id, later_us)
        entries.append(throttle.entries)
    assert entries == [5, 4, 4], "two at a time, until only those that are known are left"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8:0:0:ffff::2", True),
        ("2001:db8::1", "2001:DB8:0::9", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::1%eth1", True),
    ],
)
def test_addresses_that_are_one(one: str, other: str, same: bool) -> None:
    sources = {source_of(address, "tw_live_4fK2_more") for address in (one, other)}
    assert len(sources) == (1 if same else 2)


def test_a_source_keeps_no_more_of_a_key_than_its_prefix() -> None:
    assert source_of("192.0.2.1", "tw_live_4fK2abcdefgh_secret") == HERE
    assert source_of("", "tw_live_4fK2abcdefgh_secret") is None


@pytest.mark.parametrize("address", ["somewhere", "1.2.3", "1.2.3.4:80", "[::1]", " ", "fe80::1%" + "x" * 100])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        source_of(address, "tw", "requests[3].")
    assert caught.value.field == "requests[3].client_address"
