"""What a reader that stopped at a position can still get."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_service.core.model import Page, Position, RecoveryFailure
from session_service.core.recovery import Recovery, assess

EXPIRED, CHANGED = RecoveryFailure.HISTORY_EXPIRED, RecoveryFailure.EPOCH_CHANGED


@pytest.mark.parametrize(
    ("since", "low", "expected"),
    [
        (Position("e1", 5), 0, Recovery(5, None)),
        (Position("e1", 10), 0, Recovery(10, None)),
        (Position("e1", 0), 0, Recovery(0, None)),
        (Position("", 5), 0, Recovery(5, None)),
        (Position("e1", 5), 5, Recovery(5, None)),
        (Position("e1", 4), 5, Recovery(5, EXPIRED)),
        (Position("e1", 0), 5, Recovery(5, EXPIRED)),
        (Position("", 4), 5, Recovery(5, EXPIRED)),
        (Position("", 0), 5, Recovery(5, None)),
        (Position("e0", 5), 0, Recovery(0, CHANGED)),
        (Position("e0", 5), 3, Recovery(3, CHANGED)),
        (Position("e1", 11), 3, Recovery(3, CHANGED)),
        (Position("", 11), 3, Recovery(3, CHANGED)),
    ],
)
def test_the_table(since: Position, low: int, expected: Recovery) -> None:
    assert assess(since, Page("e1", 10, low, (), False)) == expected


@pytest.mark.parametrize(
    ("since", "low", "expected"),
    [
        (Position("e0", 5), 0, Recovery(5, None)),
        (Position("e0", 7), 0, Recovery(7, None)),
        (Position("e0", 8), 0, Recovery(7, CHANGED)),
        (Position("e0", 8), 9, Recovery(9, CHANGED)),
        (Position("e0", 2), 3, Recovery(3, EXPIRED)),
        (Position("e-", 1), 0, Recovery(0, CHANGED)),
    ],
)
def test_what_a_former_epoch_shares_with_the_present_one_is_not_lost(
    since: Position, low: int, expected: Recovery
) -> None:
    assert assess(since, Page("e1", 10, low, (), False, {"e0": 7, "e-": 0})) == expected


@given(st.sampled_from(["", "e0", "e1"]), st.integers(0, 30), st.integers(0, 20), st.integers(0, 20))
def test_never_a_silent_hole_and_nothing_twice(epoch: str, offset: int, head: int, kept: int) -> None:
    """Against a model: the offsets that are kept, and those that the reader has seen."""
    low = max(0, head - kept)
    recovery = assess(Position(epoch, offset), Page("e1", head, low, (), False))
    same_life = epoch in ("", "e1") and offset <= head
    seen = set(range(1, offset + 1)) if same_life else set()
    given_now = set(range(recovery.after + 1, head + 1))
    assert low <= recovery.after <= head
    assert not given_now & seen or recovery.failure is not None
    lost = set(range(1, head + 1)) - seen - given_now
    if recovery.failure is None:
        assert same_life
        assert not lost or (epoch == "" and offset == 0)
    elif recovery.failure is EXPIRED:
        assert same_life
        assert lost
    else:
        assert not same_life
    assert given_now == set(range(low + 1, head + 1)) - seen
