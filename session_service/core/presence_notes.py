"""What a store of presence still has to be told, so that it comes to say who is present in this process.

Only the newest state of a client counts. What may be in the store is remembered until the store is known not to have it, so
that nothing noted while the store is away is lost, and what came and went meanwhile costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import islice
from typing import NamedTuple

from session_service.core.model import Member


class Outcome(Enum):
    """What became of a batch."""

    DONE = "done"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


class Batch(NamedTuple):
    """What one message to the store says of a topic. `fresh`: those of whom it had nothing before."""

    topic: str
    present: Sequence[Member]
    gone: Sequence[str]
    fresh: frozenset[str]


class _Note:
    """A client in a topic. `stored`: the store may have it. `doubted`: an old word may still come to the store."""

    __slots__ = ("doubted", "member", "stored")

    def __init__(self) -> None:
        self.member: Member | None = None
        self.stored = False
        self.doubted = False


class _Topic:
    __slots__ = ("changed", "notes", "under_way")

    def __init__(self) -> None:
        self.notes: dict[str, _Note] = {}
        self.changed: dict[str, None] = {}
        self.under_way = False


class PresenceNotes:
    """Notes by topic; at most one batch of a topic is under way."""

    def __init__(self) -> None:
        self._topics: dict[str, _Topic] = {}

    def come(self, name: str, member: Member) -> None:
        """Note that a client is present."""
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = _Topic()
        note = topic.notes.get(member.client_id)
        if note is None:
            note = topic.notes[member.client_id] = _Note()
        note.member = member
        topic.changed[member.client_id] = None

    def go(self, name: str, client_id: str) -> None:
        """Note that a client is not present. Idempotent."""
        topic = self._topics.get(name)
        note = topic.notes.get(client_id) if topic else None
        if topic is None or note is None:
            return
        note.member = None
        if note.stored:
            topic.changed[client_id] = None
        else:
            self._forget(topic, client_id)

    def repeat(self, name: str) -> None:
        """Have everything of a topic said again: the store may have lost it."""
        topic = self._topics.get(name)
        if topic is not None:
            topic.changed = dict.fromkeys(topic.notes)

    def take(self, name: str, limit: int) -> Batch | None:
        """Return what is to be said of a topic, of at most `limit` clients; None: nothing, or a batch is under way."""
        topic = self._topics.get(name)
        if topic is None or topic.under_way or not topic.changed:
            return None
        topic.under_way = True
        present: list[Member] = []
        gone: list[str] = []
        fresh: set[str] = set()
        for client_id in list(islice(topic.changed, limit)):
            del topic.changed[client_id]
            note = topic.notes[client_id]
            if not note.stored:
                note.stored = True
                fresh.add(client_id)
            if note.member is None:
                gone.append(client_id)
            else:
                present.append(note.member)
        return Batch(name, present, gone, frozenset(fresh))

    def settle(self, batch: Batch, outcome: Outcome) -> None:
        """Note what became of a batch; what is not known to be done is said again, unless it is no longer true.

        What may be done late is said once more after the next success: behind everything that was sent before.
        """
        topic = self._topics[batch.topic]
        topic.under_way = False
        for client_id in (*(member.client_id for member in batch.present), *batch.gone):
            note = topic.notes[client_id]
            if outcome is Outcome.DONE and not note.doubted:
                if note.member is None and client_id not in topic.changed:
                    self._forget(topic, client_id)
                continue
            note.doubted = outcome is Outcome.UNKNOWN or (note.doubted and outcome is Outcome.NOT_DONE)
            if outcome is Outcome.NOT_DONE and client_id in batch.fresh:
                note.stored = False
            if note.member is None and not note.stored:
                self._forget(topic, client_id)
            else:
                topic.changed[client_id] = None

    def release(self, name: str) -> bool:
        """Forget a topic of which nothing is noted; return if that is so. Idempotent."""
        topic = self._topics.get(name)
        if topic is not None and (topic.notes or topic.under_way):
            return False
        self._topics.pop(name, None)
        return True

    def members(self, name: str) -> Iterator[Member]:
        """Yield who is present in a topic here."""
        topic = self._topics.get(name)
        if topic is not None:
            yield from (note.member for note in topic.notes.values() if note.member is not None)

    def topics(self) -> list[str]:
        """Return every topic of which something is noted."""
        return list(self._topics)

    @property
    def all_told(self) -> bool:
        """The store has been told everything."""
        return not any(topic.changed or topic.under_way for topic in self._topics.values())

    @staticmethod
    def _forget(topic: _Topic, client_id: str) -> None:
        del topic.notes[client_id]
        topic.changed.pop(client_id, None)
