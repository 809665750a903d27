"""The ledger checks itself: books with a fault of each kind, which must find that fault, and clean ones, which must find none.

It runs before every run, for a ledger that finds nothing proves something only if it would have found it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.ledger.audit import Kept, audit
from tests.ledger.books import Books, MemberBook
from tests.ledger.places import Place
from tests.ledger.verdict import Faults, faults_of, rows_of

CHANNEL: Final = "c"
MESSAGES: Final = [(f"m-{offset}", Place("e", offset)) for offset in range(1, 7)]


class LedgerIsBlind(Exception):
    """The ledger does not find a fault that it was given, or finds one that is not there."""


def clean_books() -> Books:
    """Return the books of a writer and a reader after six messages, nothing received yet."""
    books = Books()
    writer = books.client("writer", [CHANNEL])
    books.client("reader", [CHANNEL])
    for client in books.clients.values():
        client.connected, client.connections = True, 1
        client.members[CHANNEL].joined(Place("e", 0))
    for message_id, place in MESSAGES:
        writer.confirm(CHANNEL, message_id, place)
        writer.members[CHANNEL].accept(message_id, place)
    return books


def reader(books: Books) -> MemberBook:
    return books.clients["reader"].members[CHANNEL]


def receive(books: Books, messages: Kept) -> None:
    """Give messages to the reader, past its own check."""
    for message_id, place in messages:
        reader(books).accept(message_id, place)


def verdict(books: Books, kept: Kept = tuple(MESSAGES)) -> Faults:
    """Return what the books come to, with a history that holds `kept`."""
    return faults_of(books, rows_of(books), [audit(books.channels[CHANNEL], kept)])


def nothing() -> Faults:
    books = clean_books()
    receive(books, MESSAGES)
    return verdict(books)


def lost_message() -> Faults:
    books = clean_books()
    receive(books, MESSAGES[:-1])
    return verdict(books)


def duplicate() -> Faults:
    books = clean_books()
    receive(books, [*MESSAGES[:3], MESSAGES[2], *MESSAGES[3:]])
    return verdict(books)


def swap() -> Faults:
    books = clean_books()
    first, second, *others = MESSAGES
    receive(books, [second, first, *others])
    return verdict(books)


def late_and_dropped() -> Faults:
    books = clean_books()
    receive(books, [MESSAGES[0], MESSAGES[2]])
    reader(books).drop(*MESSAGES[1])
    receive(books, MESSAGES[3:])
    return verdict(books)


def hole() -> Faults:
    books = clean_books()
    receive(books, [*MESSAGES[:2], *MESSAGES[3:]])
    return verdict(books)


def new_epoch_in_silence() -> Faults:
    books = clean_books()
    receive(books, [*MESSAGES, ("m-7", Place("f", 1))])
    return verdict(books, [*MESSAGES, ("m-7", Place("f", 1))])


def stored_twice() -> Faults:
    books = clean_books()
    again = (MESSAGES[0][0], Place("e", 7))
    receive(books, [*MESSAGES, again])
    return verdict(books, [*MESSAGES, again])


def overwritten() -> Faults:
    books = clean_books()
    receive(books, [*MESSAGES[:-1], ("other", MESSAGES[-1][1])])
    return verdict(books)


def not_recovered() -> Faults:
    books = clean_books()
    receive(books, MESSAGES)
    reader(books).not_recovered()
    return verdict(books)


def gone_from_history() -> Faults:
    books = clean_books()
    receive(books, MESSAGES)
    return verdict(books, MESSAGES[:-1])


def moved_in_history() -> Faults:
    books = clean_books()
    receive(books, MESSAGES)
    return verdict(books, [*MESSAGES[:-1], (MESSAGES[-1][0], Place("e", 8))])


def not_connected() -> Faults:
    books = clean_books()
    receive(books, MESSAGES)
    books.clients["reader"].connected = False
    return verdict(books)


def not_confirmed() -> Faults:
    books = clean_books()
    receive(books, MESSAGES)
    books.clients["writer"].unconfirmed = 1
    return verdict(books)


CASES: Final[dict[Callable[[], Faults], dict[str, int]]] = {
    nothing: {},
    lost_message: {"lost": 1, "not_caught_up": 1},
    duplicate: {"duplicated": 1},
    swap: {"holes": 1, "out_of_order": 1},
    late_and_dropped: {"holes": 1, "out_of_order": 1},
    hole: {"holes": 1, "lost": 1},
    new_epoch_in_silence: {"holes": 1, "history_gaps": 1},
    stored_twice: {"stored_twice": 1, "duplicated": 1, "history_twice": 1},
    overwritten: {"overwritten": 1},
    not_recovered: {"unrecovered": 1},
    gone_from_history: {"history_missing": 1},
    moved_in_history: {"history_misplaced": 1, "history_gaps": 1},
    not_connected: {"not_connected": 1, "not_caught_up": 1},
    not_confirmed: {"not_caught_up": 1},
}


def self_check() -> list[str]:
    """Try every case; return the names of those in which something had to be found.

    Raises:
        LedgerIsBlind: With the case, what had to be found, and what was.
    """
    for case, expected in CASES.items():
        found = case().found
        if found != expected:
            raise LedgerIsBlind(f"{case.__name__}: had to find {expected}, found {found}")
    return [case.__name__ for case, expected in CASES.items() if expected]
