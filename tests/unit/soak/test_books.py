from __future__ import annotations

from tests.soak.books import ChannelBook


def a_book() -> ChannelBook:
    return ChannelBook("room")


def test_confirmed_and_seen_in_either_order_is_done_with() -> None:
    book = a_book()
    book.confirm("a", 5)
    book.see("a", 5)
    book.see("b", 6)
    book.confirm("b", 6)
    assert (book.lost, book.faults, book.head, book.confirmed) == (0, {}, 6, 2)


def test_confirmed_and_never_seen_is_lost() -> None:
    book = a_book()
    book.confirm("a", 5)
    assert book.lost == 1


def test_another_message_in_its_place_is_a_fault() -> None:
    book = a_book()
    book.confirm("a", 1)
    book.see("x", 1)
    book.see("y", 2)
    book.confirm("b", 2)
    assert book.faults.total() == 2
    assert book.lost == 0


def test_holes_and_repeats_are_faults() -> None:
    book = a_book()
    for offset in (3, 5, 5):
        book.see("m", offset)
    assert book.faults == {"not the next message": 2}
