"""What the books come to: each kind of fault, counted. Pure, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from tests.ledger.audit import HistoryAudit
from tests.ledger.books import Books, ClientBook


@dataclass(frozen=True)
class ClientRow:
    """One line of the table. All but the last three are counts of messages."""

    client: str
    way: str
    expected: int
    received: int
    dropped: int
    duplicated: int
    out_of_order: int
    lost: int
    holes: int
    unrecovered: int
    confirmed: int
    unconfirmed: int
    reconnects: int
    connected: bool
    caught_up: bool

    @classmethod
    def of(cls, book: ClientBook) -> ClientRow:
        members = list(book.members.values())
        expected = sum(member.expected() for member in members)
        lost = sum(len(member.lost()) for member in members)
        return cls(
            client=book.client_id,
            way=book.way,
            expected=expected,
            received=expected - lost,
            dropped=sum(member.dropped for member in members),
            duplicated=sum(member.duplicated for member in members),
            out_of_order=sum(member.out_of_order for member in members),
            lost=lost,
            holes=sum(member.holes for member in members),
            unrecovered=sum(member.unrecovered for member in members),
            confirmed=book.confirmed,
            unconfirmed=book.unconfirmed,
            reconnects=book.reconnects,
            connected=book.connected,
            caught_up=book.caught_up,
        )


@dataclass(frozen=True)
class Faults:
    """Counts that must all be 0."""

    lost: int
    duplicated: int
    out_of_order: int
    holes: int
    unrecovered: int
    stored_twice: int
    overwritten: int
    history_missing: int
    history_misplaced: int
    history_twice: int
    history_gaps: int
    not_connected: int
    not_caught_up: int

    @property
    def total(self) -> int:
        return sum(self.found.values())

    @property
    def found(self) -> dict[str, int]:
        """Return those that are not 0."""
        counts = {field.name: int(getattr(self, field.name)) for field in fields(self)}
        return {name: count for name, count in counts.items() if count}


def rows_of(books: Books) -> list[ClientRow]:
    """Return a row for each client."""
    return [ClientRow.of(client) for client in books.clients.values()]


def faults_of(books: Books, rows: Sequence[ClientRow], histories: Sequence[HistoryAudit]) -> Faults:
    """Return everything that is wrong."""
    channels = list(books.channels.values())
    return Faults(
        lost=sum(row.lost for row in rows),
        duplicated=sum(row.duplicated for row in rows),
        out_of_order=sum(row.out_of_order for row in rows),
        holes=sum(row.holes for row in rows),
        unrecovered=sum(row.unrecovered for row in rows),
        stored_twice=sum(len(channel.stored_twice) for channel in channels),
        overwritten=sum(len(channel.overwritten) for channel in channels),
        history_missing=sum(len(history.missing) for history in histories),
        history_misplaced=sum(len(history.misplaced) for history in histories),
        history_twice=sum(len(history.twice) for history in histories),
        history_gaps=sum(len(history.gaps) for history in histories),
        not_connected=sum(not row.connected for row in rows),
        not_caught_up=sum(not row.caught_up for row in rows),
    )
