"""A history against what was confirmed and seen."""

from __future__ import annotations

import pytest

from tests.ledger.audit import HistoryAudit, audit
from tests.ledger.books import ChannelBook
from tests.ledger.places import Place

A, B, C = (("a", Place("e", 1)), ("b", Place("e", 2)), ("c", Place("e", 3)))


@pytest.fixture
def book() -> ChannelBook:
    """Three messages, of which the last was delivered and never confirmed."""
    book = ChannelBook("c")
    book.confirm(*A, client_id="w")
    book.confirm(*B, client_id="w")
    book.note(*C)
    return book


def test_clean(book: ChannelBook) -> None:
    result = audit(book, [A, B, C])
    assert result == HistoryAudit("c", 3)
    assert result.clean


def test_what_nobody_confirmed_or_saw_may_be_there(book: ChannelBook) -> None:
    assert audit(book, [A, B, C, ("d", Place("e", 4))]).clean


def test_an_empty_channel() -> None:
    assert audit(ChannelBook("c"), []).clean


@pytest.mark.parametrize(
    ("kept", "wrong"),
    [
        ([A, C], {"missing": ["b"], "gaps": [C[1]]}),
        ([B, C], {"missing": ["a"], "gaps": [B[1]]}),
        ([A, B], {"misplaced": ["c"]}),
        ([("b", A[1]), ("a", B[1]), C], {"misplaced": ["a", "b"]}),
        ([A, B, C, ("a", Place("e", 4))], {"twice": ["a"]}),
        ([A, B, C, ("d", Place("e", 5))], {"gaps": [Place("e", 5)]}),
        ([A, B, C, ("d", Place("f", 1))], {"gaps": [Place("f", 1)]}),
    ],
)
def test_faults(book: ChannelBook, kept: list[tuple[str, Place]], wrong: dict[str, list[object]]) -> None:
    result = audit(book, kept)
    assert not result.clean
    shown = {name: getattr(result, name) for name in ("missing", "misplaced", "twice", "gaps") if getattr(result, name)}
    assert shown == wrong
