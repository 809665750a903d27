"""Clients in channels, as several scenarios need them: each channel has its members and one publisher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.load.plan import Client, Publisher, body
from benchmarks.peers.base import Peer
from benchmarks.scenarios.base import MESSAGE_BYTES


@dataclass(frozen=True)
class Rooms:
    """Channels that are full.

    Args:
        clients: All of them, in the order of their indexes.
        publishers: One for each channel, with a window of one message.
    """

    clients: Sequence[Client]
    publishers: Sequence[Publisher]


def fill(peer: Peer, rooms: int, members: int) -> Rooms:
    """Return rooms with the same number of members each.

    Where a publisher is a member itself, it is one of that number, so that every message goes to as many on every server.
    """
    clients: list[Client] = []
    publishers = []
    for room in range(rooms):
        channel = f"room-{room}"
        others = members - 1 if peer.publisher_is_member else members
        indexes = list(range(len(clients), len(clients) + others))
        clients += [peer.subscriber(index, [channel]) for index in indexes]
        sender = len(clients)
        clients.append(peer.publisher(sender, channel))
        if peer.publisher_is_member:
            indexes.append(sender)
        message = peer.message(channel, body(MESSAGE_BYTES))
        publishers.append(Publisher(sender, message, indexes, count=0, window=1, confirmed=peer.confirms))
    return Rooms(clients, publishers)
