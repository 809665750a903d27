"""The newest messages of a channel."""

from hypothesis import given
from hypothesis import strategies as st

from session_service.core.model import weight
from session_service.core.ring import Ring, RingBudget
from tests.unit.session_service.fakes import a_budget, a_message

WEIGHT = weight(a_message(1))


def offsets(ring: Ring, after: int) -> list[int]:
    return [message.offset for message in ring.after(after)]


def test_an_empty_ring_holds_nothing() -> None:
    ring = Ring(a_budget())
    assert not ring.reaches(0)
    assert ring.after(0) == []
    assert ring.reach(1) == 0


def test_it_gives_what_comes_after_an_offset() -> None:
    ring = Ring(a_budget())
    for offset in (5, 6, 7):
        ring.append(a_message(offset), reach=offset * 10)
    assert [ring.reaches(offset) for offset in (4, 5, 7, 8)] == [False, True, True, False]
    assert (offsets(ring, 4), offsets(ring, 5), offsets(ring, 7), offsets(ring, 9)) == ([5, 6, 7], [6, 7], [], [])
    assert [ring.reach(offset) for offset in (4, 5, 7, 8)] == [0, 50, 70, 0]


def test_the_oldest_go_when_there_are_too_many() -> None:
    ring = Ring(a_budget(max_messages=2))
    for offset in (1, 2, 3):
        ring.append(a_message(offset), reach=1)
    assert offsets(ring, 0) == [2, 3]


def test_the_oldest_go_when_they_weigh_too_much() -> None:
    ring = Ring(a_budget(max_bytes=2 * WEIGHT))
    for offset in (1, 2, 3):
        ring.append(a_message(offset), reach=1)
    assert offsets(ring, 0) == [2, 3]


def test_a_message_heavier_than_the_bound_is_not_kept() -> None:
    ring = Ring(a_budget(max_bytes=WEIGHT - 1))
    ring.append(a_message(1), reach=1)
    assert not ring.reaches(1)
    assert ring.after(0) == []


def test_all_rings_together_are_bounded() -> None:
    budget = a_budget(max_total_bytes=3 * WEIGHT)
    first, second = Ring(budget), Ring(budget)
    for offset in (1, 2):
        first.append(a_message(offset), reach=1)
        second.append(a_message(offset), reach=1)
    assert (offsets(first, 0), offsets(second, 0)) == ([1, 2], [2])
    assert budget.total_bytes == 3 * WEIGHT


def test_clear_gives_the_bytes_back() -> None:
    budget = a_budget()
    ring, other = Ring(budget), Ring(budget)
    ring.append(a_message(1), reach=1)
    other.append(a_message(1), reach=1)
    ring.clear()
    assert budget.total_bytes == WEIGHT
    ring.append(a_message(9), reach=1)
    assert offsets(ring, 0) == [9]


@given(
    st.lists(st.one_of(st.integers(0, 400), st.none()), max_size=60),
    st.integers(1, 8),
    st.integers(200, 2500),
    st.integers(200, 2500),
)
def test_it_is_always_an_unbroken_run_up_to_the_newest(
    steps: list[int | None], max_messages: int, max_bytes: int, max_total: int
) -> None:
    """Against a list: `None` clears, a number appends a message with so many bytes."""
    budget = RingBudget(max_messages, max_bytes, max_total)
    ring, newest, kept = Ring(budget), 0, []
    for size in steps:
        if size is None:
            ring.clear()
            kept = []
        else:
            newest += 1
            message = a_message(newest, data=b"x" * size)
            ring.append(message, reach=newest)
            kept.append(message)
            while kept and (len(kept) > max_messages or sum(map(weight, kept)) > min(max_bytes, max_total)):
                kept.pop(0)
        assert ring.after(0) == kept
        assert budget.total_bytes == sum(map(weight, kept))
        assert all(ring.reach(message.offset) == message.offset for message in kept)
        assert ring.reaches(newest) == bool(kept)
