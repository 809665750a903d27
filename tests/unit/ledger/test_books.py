"""The accounting: what is owed, what came, and each kind of fault."""

from __future__ import annotations

import pytest

from tests.ledger.books import Books, ClientBook, MemberBook
from tests.ledger.places import Place
from tests.ledger.verdict import ClientRow


def at(offset: int, epoch: str = "e") -> Place:
    return Place(epoch, offset)


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def alice(books: Books) -> ClientBook:
    """A client that has joined an empty channel."""
    book = books.client("alice", ["c"])
    book.connected = True
    book.members["c"].joined(at(0))
    return book


@pytest.fixture
def member(alice: ClientBook) -> MemberBook:
    return alice.members["c"]


def test_owed_is_what_was_confirmed_after_the_join(books: Books) -> None:
    member = books.client("late", ["c"]).members["c"]
    for offset in (1, 2, 3):
        member.channel.confirm(f"m-{offset}", at(offset), "writer")
    assert member.expected() == 0
    member.joined(at(2))
    assert member.lost() == ["m-3"]
    member.accept("m-3", at(3))
    assert member.lost() == []
    assert member.expected() == 1


def test_a_later_epoch_is_owed_and_an_earlier_one_is_not(books: Books) -> None:
    old, new = (books.client(name, ["c"]).members["c"] for name in ("old", "new"))
    old.joined(at(5, "first"))
    new.joined(at(0, "second"))
    old.channel.confirm("m-6", at(6, "first"), "w")
    old.channel.confirm("n-1", at(1, "second"), "w")
    assert old.lost() == ["m-6", "n-1"]
    assert new.lost() == ["n-1"]


def test_in_order_nothing_is_wrong(member: MemberBook) -> None:
    for offset in (1, 2, 3):
        member.accept(f"m-{offset}", at(offset))
    assert (member.raw, member.duplicated, member.out_of_order, member.holes) == (3, 0, 0, 0)


def test_the_first_message_must_be_the_next_after_the_join(member: MemberBook) -> None:
    member.accept("m-3", at(3))
    assert member.holes == 2


def test_a_repeat_that_the_client_drops_is_no_fault(member: MemberBook) -> None:
    member.accept("m-1", at(1))
    member.drop("m-1", at(1))
    assert (member.raw, member.dropped, member.duplicated, member.out_of_order) == (2, 1, 0, 0)


def test_what_came_too_late_and_was_dropped_is_out_of_order(member: MemberBook) -> None:
    member.accept("m-2", at(2))
    member.drop("m-1", at(1))
    member.drop("m-1", at(1))
    assert (member.holes, member.out_of_order, member.dropped) == (1, 1, 2)


def test_going_back_past_the_clients_own_check(member: MemberBook) -> None:
    member.accept("m-3", at(3))
    member.accept("m-1", at(1))
    assert (member.out_of_order, member.duplicated) == (1, 0)
    member.accept("m-4", at(4))
    assert member.holes == 2, "what is next is counted from the newest"


def test_the_same_offset_twice_past_the_clients_own_check(member: MemberBook) -> None:
    member.accept("m-1", at(1))
    member.accept("m-1", at(1))
    assert (member.out_of_order, member.duplicated) == (0, 1)


def test_one_id_at_two_places_is_found_though_nobody_saw_both(books: Books, member: MemberBook) -> None:
    other = books.client("bob", ["c"]).members["c"]
    member.accept("m", at(1))
    other.accept("m", at(2))
    assert member.channel.stored_twice == {"m": {at(1), at(2)}}
    assert (member.duplicated, other.duplicated) == (0, 0), "each saw it once"


def test_two_confirmations_at_two_places(alice: ClientBook) -> None:
    alice.confirm("c", "m", at(1))
    alice.members["c"].channel.confirm("m", at(2), "alice")
    assert alice.members["c"].channel.stored_twice == {"m": {at(1), at(2)}}
    assert alice.members["c"].channel.confirmed == {"m": at(1)}


def test_two_ids_at_one_place(member: MemberBook) -> None:
    member.channel.confirm("m", at(1), "w")
    member.accept("n", at(1))
    assert member.channel.overwritten == {at(1): {"m", "n"}}


def test_not_recovered_is_a_fault_and_hides_no_hole_after_it(member: MemberBook) -> None:
    member.accept("m-1", at(1))
    member.not_recovered()
    member.accept("m-9", at(9))
    member.accept("m-11", at(11))
    assert (member.unrecovered, member.holes) == (1, 1)


def test_a_new_epoch_without_a_word_is_a_hole(member: MemberBook) -> None:
    member.accept("m-1", at(1))
    member.accept("n-1", at(1, "other"))
    assert member.holes == 1


def test_caught_up(books: Books, alice: ClientBook, member: MemberBook) -> None:
    assert books.caught_up
    member.channel.confirm("m-1", at(1), "bob")
    assert not books.caught_up, "a message is missing"
    member.accept("m-1", at(1))
    assert books.caught_up
    alice.unconfirmed = 1
    assert not books.caught_up, "a message of its own is not confirmed"
    alice.unconfirmed, alice.connected = 0, False
    assert not books.caught_up, "it is not connected"


def test_who_never_joined_is_not_caught_up(books: Books) -> None:
    books.client("alice", ["c"]).connected = True
    assert not books.caught_up


def test_row(alice: ClientBook, member: MemberBook) -> None:
    alice.connections = 3
    for offset in (1, 2, 3):
        alice.confirm("c", f"m-{offset}", at(offset))
    member.accept("m-1", at(1))
    member.drop("m-1", at(1))
    row = ClientRow.of(alice)
    assert (row.client, row.expected, row.received, row.lost, row.dropped) == ("alice", 3, 1, 2, 1)
    assert (row.confirmed, row.reconnects, row.connected, row.caught_up) == (3, 2, True, False)
