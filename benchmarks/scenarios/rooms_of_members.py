"""Clients in channels, as several scenarios need them: each channel has its members and one publisher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.load.plan import Client, Publisher, body
from benchmarks.peers.base import Peer
from benchmarks.scenarios.base import MESSAGE_BYTES

# More than one group has.
_CLIENTS_OF_A_GROUP: Final = 100_000


@dataclass(frozen=True)
class Rooms:
    """Channels that are full.

    Args:
        clients: All of them, in the order of their indexes.
        publishers: One for each channel, with a window of one message.
    """

    clients: Sequence[Client]
    publishers: Sequence[Publisher]


def channel_name(room: int, group: int = 0) -> str:
    """Return the channel of a room."""
    return f"room-{group}-{room}"


def fill(peer: Peer, rooms: int, members: int, group: int = 0) -> Rooms:
    """Return rooms with the same number of members each.

    Where a publisher is a member itself, it is one of that number, so that every message goes to as many on every server.

    Args:
        peer: The server.
        rooms: How many.
        members: Of each.
        group: Another for each call of one measurement: groups share no channel and no client, and so no message's id.
    """
    first = group * _CLIENTS_OF_A_GROUP
    clients: list[Client] = []
    publishers = []
    for room in range(rooms):
        channel = channel_name(room, group)
        others = members - 1 if peer.publisher_is_member else members
        indexes = list(range(len(clients), len(clients) + others))
        clients += [peer.subscriber(first + index, [channel]) for index in indexes]
        sender = len(clients)
        clients.append(peer.publisher(first + sender, channel))
        if peer.publisher_is_member:
            indexes.append(sender)
        message = peer.message(channel, body(MESSAGE_BYTES))
        publishers.append(Publisher(sender, message, indexes, count=0, window=1, confirmed=peer.confirms))
    return Rooms(clients, publishers)
