"""Pings for all connections, by one timer.

Each connection has its place in a ring of groups. A group is pinged once in a heartbeat, and looked at half a heartbeat
later: a peer from which nothing has come since, not even the pong, is dropped. So a dead peer is found after one and a half
heartbeats at the latest, and pings are spread over time.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Final, Protocol

from ws_edge.core.websocket_frame import PING_FRAME

GROUPS: Final = 32


class Peer(Protocol):
    """One connection.

    Attributes:
        heard: Something came from it since this was last set to False.
    """

    heard: bool

    def ping(self, frame: bytes) -> None:
        """Send it a ping."""

    def drop(self) -> None:
        """End it."""


class Heartbeats:
    """Pings peers, and drops those that do not answer.

    Args:
        heartbeat_s: A ping this often, in seconds.
    """

    def __init__(self, heartbeat_s: float) -> None:
        self._pause_s = heartbeat_s / GROUPS
        self._groups: list[set[Peer]] = [set() for _ in range(GROUPS)]

    def add(self, peer: Peer) -> None:
        """Ping a peer from now on."""
        self._groups[hash(peer) % GROUPS].add(peer)

    def remove(self, peer: Peer) -> None:
        """Ping it no more. Idempotent."""
        self._groups[hash(peer) % GROUPS].discard(peer)

    async def run(self) -> None:
        """Beat for ever."""
        for turn in itertools.cycle(range(GROUPS)):
            await asyncio.sleep(self._pause_s)
            self.beat(turn)

    def beat(self, turn: int) -> None:
        """Ping one group, and look after the one that was pinged half a heartbeat ago.

        Args:
            turn: The number of the group.
        """
        for peer in list(self._groups[turn - GROUPS // 2]):
            if not peer.heard:
                peer.drop()
        for peer in self._groups[turn]:
            peer.heard = False
            peer.ping(PING_FRAME)
