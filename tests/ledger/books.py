"""The accounting: what each channel has stored, what each of its members is owed, and what it got. Pure, no I/O.

A `ChannelBook` is one truth for everybody: it hears of every confirmation and every delivery, whoever saw it, so one message
at two places, or two messages at one place, are found even when no single client saw both. A `MemberBook` is what one client
saw of one channel. It does not trust the client's own check of offsets: what passes that check is checked again here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.ledger.places import Offsets, Place


class ChannelBook:
    """Which message lies where in one channel, and which of them were confirmed, to whom."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.confirmed: dict[str, Place] = {}
        self.confirmed_to: dict[str, str] = {}
        self.stored_twice: dict[str, set[Place]] = {}
        self.overwritten: dict[Place, set[str]] = {}
        self.newest_confirmed: dict[str, int] = {}
        self.seen: dict[Place, str] = {}
        self._places: dict[str, Place] = {}
        self._epochs: list[str] = []

    def confirm(self, message_id: str, place: Place, client_id: str) -> None:
        """Note a confirmation, the second one of a repeated message included."""
        self.note(message_id, place)
        self.confirmed.setdefault(message_id, place)
        self.confirmed_to.setdefault(message_id, client_id)
        self.newest_confirmed[place.epoch] = max(place.offset, self.newest_confirmed.get(place.epoch, 0))

    def note(self, message_id: str, place: Place) -> None:
        """Note that a message was seen at a place."""
        first = self._places.setdefault(message_id, place)
        if first != place:
            self.stored_twice.setdefault(message_id, {first}).add(place)
        there = self.seen.setdefault(place, message_id)
        if there != message_id:
            self.overwritten.setdefault(place, {there}).add(message_id)

    def age(self, place: Place) -> tuple[int, int]:
        """Return what places are compared by: epochs in the order in which anybody heard of them, then offsets."""
        if place.epoch not in self._epochs:
            self._epochs.append(place.epoch)
        return self._epochs.index(place.epoch), place.offset

    def places_of(self, message_id: str) -> Iterable[Place]:
        """Return every place a message was seen at."""
        return self.stored_twice.get(message_id) or [self._places[message_id]]


class MemberBook:
    """What one client is owed of one channel, and what it got."""

    def __init__(self, channel: ChannelBook) -> None:
        self.channel = channel
        self.owed_after: Place | None = None
        self.accepted = 0
        self.dropped = 0
        self.duplicated = 0
        self.out_of_order = 0
        self.holes = 0
        self.unrecovered = 0
        self._newest: Place | None = None
        self._got: dict[str, Offsets] = {}

    @property
    def raw(self) -> int:
        """Messages that came in, whatever the client did with them."""
        return self.accepted + self.dropped

    def joined(self, at: Place) -> None:
        """Note the first `subscription_success`: everything after this place is owed."""
        self.channel.age(at)
        self.owed_after = self._newest = at

    def not_recovered(self) -> None:
        """Note `recovered: false`: the server says that something is missing, which it never may here."""
        self.unrecovered += 1
        self._newest = None

    def accept(self, message_id: str, place: Place) -> None:
        """Note a message that passed the client's own check."""
        self.accepted += 1
        self._check_twice(message_id, place)
        self._check_next(place)
        self._got.setdefault(place.epoch, Offsets()).add(place.offset)

    def drop(self, message_id: str, place: Place) -> None:
        """Note a message that the client's own check refused: known already, or too late."""
        self.dropped += 1
        self.channel.note(message_id, place)
        if self._got.setdefault(place.epoch, Offsets()).add(place.offset) and self.owes(place):
            self.out_of_order += 1

    def _check_twice(self, message_id: str, place: Place) -> None:
        self.channel.note(message_id, place)
        self.duplicated += any(self.has(known) for known in self.channel.places_of(message_id))

    def _check_next(self, place: Place) -> None:
        """Places go up by one; a new epoch that nobody announced is a hole, for it hides what was missed."""
        before, self._newest = self._newest, place
        if before is None:
            return
        if place.epoch != before.epoch:
            self.holes += 1
        elif place.offset <= before.offset:
            self.out_of_order += not self.has(place)
            self._newest = before
        else:
            self.holes += place.offset - before.offset - 1

    def has(self, place: Place) -> bool:
        """Say if the message of a place came in."""
        return place.epoch in self._got and place.offset in self._got[place.epoch]

    def owes(self, place: Place) -> bool:
        """Say if the client must get the message of a place."""
        after = self.owed_after
        if after is None:
            return False
        if place.epoch == after.epoch:
            return place.offset > after.offset
        return self.channel.age(place) > self.channel.age(after)

    def expected(self) -> int:
        """Return how many confirmed messages the client must get."""
        return sum(map(self.owes, self.channel.confirmed.values()))

    def lost(self) -> list[str]:
        """Return the confirmed messages that the client must get and did not."""
        return [m for m, place in self.channel.confirmed.items() if self.owes(place) and not self.has(place)]

    def at_the_end(self) -> bool:
        """Say, quickly, if the newest confirmed message is here."""
        if self.owed_after is None:
            return False
        newest = [Place(epoch, offset) for epoch, offset in self.channel.newest_confirmed.items()]
        return all(self.has(place) for place in newest if self.owes(place))


class ClientBook:
    """What one client did and saw, in all its channels."""

    def __init__(self, client_id: str, channels: Iterable[ChannelBook]) -> None:
        self.client_id = client_id
        self.members = {channel.name: MemberBook(channel) for channel in channels}
        self.way = ""
        self.published = 0
        self.confirmed = 0
        self.unconfirmed = 0
        self.repeats = 0
        self.unanswered = 0
        self.connections = 0
        self.slowest_s = 0.0
        self.connected = False
        self.surprises: Counter[str] = Counter()
        self.closes: Counter[int] = Counter()

    def confirm(self, channel: str, message_id: str, place: Place) -> None:
        """Note that a message of this client was confirmed."""
        self.confirmed += 1
        self.members[channel].channel.confirm(message_id, place, self.client_id)

    @property
    def reconnects(self) -> int:
        return max(0, self.connections - 1)

    @property
    def caught_up(self) -> bool:
        """Connected, everything published confirmed, everything confirmed received up to the newest."""
        here = self.connected and not self.unconfirmed
        return here and all(member.at_the_end() for member in self.members.values())

    @property
    def told(self) -> bool:
        """Connected, and told of a channel that something is missing."""
        return self.connected and any(member.unrecovered for member in self.members.values())


class Books:
    """All channels and all clients of a run."""

    def __init__(self) -> None:
        self.channels: dict[str, ChannelBook] = {}
        self.clients: dict[str, ClientBook] = {}

    def client(self, client_id: str, channels: Iterable[str]) -> ClientBook:
        """Return the new book of a client that is to be a member of `channels`."""
        books = [self.channels.setdefault(name, ChannelBook(name)) for name in channels]
        self.clients[client_id] = ClientBook(client_id, books)
        return self.clients[client_id]

    @property
    def confirmed(self) -> int:
        """Messages that were confirmed, each once."""
        return sum(len(channel.confirmed) for channel in self.channels.values())

    @property
    def caught_up(self) -> bool:
        return all(client.caught_up for client in self.clients.values())

    @property
    def told(self) -> bool:
        """Each client knows that something is missing."""
        return all(client.told for client in self.clients.values())
