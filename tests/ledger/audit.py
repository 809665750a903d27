"""Compares what a channel keeps with what was confirmed and seen of it. Pure, no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.ledger.books import ChannelBook
from tests.ledger.places import Place

Kept = Sequence[tuple[str, Place]]


@dataclass(frozen=True)
class HistoryAudit:
    """What is wrong with a channel's history, by ids and places.

    Args:
        channel: Its name.
        kept: How many messages it holds.
        missing: Confirmed, and not there.
        misplaced: Confirmed or delivered at a place where the history has something else, or nothing.
        twice: There more than once.
        gaps: Places before which one is missing, the first must be 1.
    """

    channel: str
    kept: int
    missing: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    gaps: list[Place] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.missing or self.misplaced or self.twice or self.gaps)


def audit(book: ChannelBook, kept: Kept) -> HistoryAudit:
    """Return what is wrong: every confirmed id must be there once, at the very place that was confirmed."""
    by_place = {place: message_id for message_id, place in kept}
    counts = Counter(message_id for message_id, _ in kept)
    misplaced = {m for m, place in book.confirmed.items() if m in counts and by_place.get(place) != m}
    misplaced |= {m for place, m in book.seen.items() if by_place.get(place) != m and m not in book.confirmed}
    return HistoryAudit(
        book.name,
        len(kept),
        missing=[message_id for message_id in book.confirmed if message_id not in counts],
        misplaced=sorted(misplaced),
        twice=[message_id for message_id, count in counts.items() if count > 1],
        gaps=_gaps([place for _, place in kept]),
    )


def _gaps(places: list[Place]) -> list[Place]:
    if not places:
        return []
    before = Place(places[0].epoch, 0)
    gaps = []
    for place in places:
        if place != Place(before.epoch, before.offset + 1):
            gaps.append(place)
        before = place
    return gaps
