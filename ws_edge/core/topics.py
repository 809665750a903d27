"""Who on this edge is a member of which topic, and up to where each topic was delivered.

All members of a topic on this edge stand at the same position, because join answers and deliveries come in order on one
stream. The exception are those that join while something is missing: they are `ahead` until it was delivered. A topic
without members is forgotten.

What a topic gets in one tick is one run of frames, which all its members' outboxes hold (`outbox`). A run ends with the tick,
and with every change of who is to get what: nothing of the topic reaches a client from before it joined, or after it left.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Final

from ws_edge.core.outbox import Run
from ws_edge.core.ports import Position

if TYPE_CHECKING:
    from ws_edge.core.connection import Connection


NO_TICK: Final = -1


class Continuity(Enum):
    """How a delivery fits behind what was delivered before."""

    NEXT = "next"
    SEEN = "seen"
    GAP = "gap"
    NO_MEMBERS = "no members"


class Topic:
    """One channel with members on this edge.

    Attributes:
        run: The frames of a tick, as its members' outboxes hold them.
        run_tick: Which tick; `NO_TICK`: the run has ended.
    """

    __slots__ = ("ahead", "channel", "epoch", "healing", "members", "name", "offset", "run", "run_tick")

    def __init__(self, name: str, channel: str, position: Position) -> None:
        self.name = name
        self.channel = channel
        self.epoch, self.offset = position
        self.members: dict[Connection, bool] = {}
        self.ahead: dict[Connection, Position] = {}
        self.healing = False
        self.run: Run = []
        self.run_tick = NO_TICK

    @property
    def position(self) -> Position:
        """Up to where it was delivered."""
        return Position(self.epoch, self.offset)

    def behind(self, epoch: str, offset: int) -> list[Connection]:
        """Return the members that were not given this offset yet; whoever is level with it then is ahead no more."""
        lacking = []
        for member in self.members:
            position = self.ahead.get(member)
            has_it = position is not None and position.epoch == epoch and position.offset >= offset
            if not has_it:
                lacking.append(member)
            if position is not None and (not has_it or position.offset == offset):
                del self.ahead[member]
        return lacking


class TopicTable:
    """All topics with members on this edge."""

    def __init__(self) -> None:
        self._topics: dict[str, Topic] = {}

    def __len__(self) -> int:
        return len(self._topics)

    def __iter__(self) -> Iterator[Topic]:
        return iter(self._topics.values())

    def get(self, name: str) -> Topic | None:
        """Return a topic that has members here."""
        return self._topics.get(name)

    def add(self, name: str, channel: str, position: Position, member: Connection, *, presence: bool) -> Topic:
        """Make `member` a member from `position` on."""
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = Topic(name, channel, position)
        topic.run_tick = NO_TICK
        topic.members[member] = presence
        if position != topic.position:
            topic.ahead[member] = position
        return topic

    def remove(self, name: str, member: Connection) -> None:
        """End a membership; nothing of the topic reaches the member after it. Idempotent."""
        topic = self._topics.get(name)
        if topic is None:
            return
        topic.run_tick = NO_TICK
        topic.members.pop(member, None)
        topic.ahead.pop(member, None)
        if not topic.members:
            del self._topics[name]

    def advance(self, name: str, epoch: str, offset: int) -> tuple[Continuity, Topic | None]:
        """Say how a delivery fits; when it is the next one, count it."""
        topic = self._topics.get(name)
        if topic is None:
            return Continuity.NO_MEMBERS, None
        if epoch != topic.epoch:
            return Continuity.GAP, topic
        if offset == topic.offset + 1:
            topic.offset = offset
            return Continuity.NEXT, topic
        return (Continuity.SEEN if offset <= topic.offset else Continuity.GAP), topic

    def reposition(self, name: str, position: Position, *, lossless: bool) -> Topic | None:
        """Go on from a position, after a gap was healed or found to be beyond healing.

        Args:
            name: The topic.
            position: What is delivered next comes after it.
            lossless: Nothing is missing before it: then what was delivered beyond it already is not delivered again.
        """
        topic = self._topics.get(name)
        if topic is not None:
            topic.run_tick = NO_TICK
            if not (lossless and topic.epoch == position.epoch and topic.offset > position.offset):
                topic.epoch, topic.offset = position
        return topic
