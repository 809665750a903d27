"""When what is due does not hang on when it is done."""

from __future__ import annotations

import pytest

from tidewire_client.load.schedule import Due, Turns, share


def all_of(turns: Turns) -> list[Due]:
    found = []
    while (due := turns.peek()) is not None:
        turns.take()
        found.append(due)
    return found


def test_senders_take_turns_spread_over_the_interval() -> None:
    turns = all_of(Turns([0.0, 0.5], start_s=100.0, rate=2.0, duration_s=1.0))
    assert [(due.index, due.at_s) for due in turns] == [(0, 100.0), (1, 100.25), (0, 100.5), (1, 100.75)]


def test_turns_come_in_order_of_their_phases() -> None:
    turns = all_of(Turns([0.75, 0.25], start_s=0.0, rate=1.0, duration_s=2.0))
    assert [due.index for due in turns] == [1, 0, 1, 0]
    times = [due.at_s for due in turns]
    assert times == sorted(times)


def test_a_turn_stays_due_until_it_is_taken() -> None:
    turns = Turns([0.0], start_s=5.0, rate=10.0, duration_s=1.0)
    assert turns.peek() == turns.peek() == Due(0, 5.0)
    turns.take()
    assert turns.peek() == Due(0, pytest.approx(5.1))


@pytest.mark.parametrize(
    ("rate", "duration_s", "count"), [(10.0, 1.0, 10), (3.0, 2.0, 6), (0.1, 5.0, 1), (0.0, 5.0, 0)]
)
def test_how_many_turns_there_are(rate: float, duration_s: float, count: int) -> None:
    assert len(all_of(Turns([0.0], 0.0, rate, duration_s))) == count


def test_nobody_has_no_turns() -> None:
    assert Turns([], 0.0, 10.0, 10.0).peek() is None


@pytest.mark.parametrize(("count", "parts"), [(10, 3), (2, 4), (0, 2), (7, 1)])
def test_shares_are_all_and_nothing_twice(count: int, parts: int) -> None:
    shares = [share(count, parts, part) for part in range(parts)]
    assert sorted(number for each in shares for number in each) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
