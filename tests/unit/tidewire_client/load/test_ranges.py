"""A set of numbers held as ranges, against a set of numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidewire_client.load.ranges import Ranges

NUMBERS = st.integers(0, 30)
CHANGES = st.lists(st.tuples(st.sampled_from(["add", "discard"]), NUMBERS, NUMBERS), max_size=40)


@given(CHANGES, NUMBERS, NUMBERS)
def test_it_holds_what_a_set_holds(changes: list[tuple[str, int, int]], start: int, end: int) -> None:
    ranges, numbers = Ranges(), set[int]()
    for kind, one, other in changes:
        if kind == "add":
            ranges.add(one, other)
            numbers |= set(range(one, other))
        else:
            assert ranges.discard(one) == (one in numbers)
            numbers.discard(one)
    assert {number for first, last in ranges for number in range(first, last)} == numbers
    assert len(ranges) == len(numbers)
    assert all((number in ranges) == (number in numbers) for number in range(32))
    assert ranges.within(start, end) == len(numbers & set(range(start, end)))
    assert all(last < first for (_, last), (first, _) in zip(ranges, list(ranges)[1:], strict=False)), "ranges touch"


def test_one_number() -> None:
    ranges = Ranges([(1, 3)])
    ranges.add(7)
    assert list(ranges) == [(1, 3), (7, 8)]
