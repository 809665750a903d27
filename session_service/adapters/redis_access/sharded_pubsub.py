"""Listens in a Redis Cluster: each channel at the server that has its slot, and after a move at the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from service_runtime.redis_address import Node
from session_service.adapters.redis_access.pubsub import PubSub
from session_service.adapters.redis_access.slots import SlotMap

MakePubSub = Callable[[Node], PubSub]


class ShardedPubSub:
    """Implements `Listening` for a Redis Cluster.

    Args:
        slots: Who has what.
        make_pubsub: Returns what listens at one server.
    """

    def __init__(self, slots: SlotMap, make_pubsub: MakePubSub) -> None:
        self._slots = slots
        self._make_pubsub = make_pubsub
        self._servers: dict[Node, PubSub] = {}
        self._places: dict[str, Node | None] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._open = False
        slots.on_change(self._changed)

    def start(self) -> None:
        """Begin to listen."""
        self._open = True

    async def close(self) -> None:
        """Listen no longer. Idempotent."""
        self._open = False
        await asyncio.gather(*(server.close() for server in self._servers.values()), *self._ending)
        self._servers.clear()

    def add(self, channel: str) -> None:
        """Listen to a channel; told again when it is heard, even if it was before."""
        owner = self._places[channel] = self._slots.owner(channel)
        if owner is not None:
            self._server(owner).add(channel)

    def remove(self, channel: str) -> None:
        """Listen to a channel no longer. Idempotent."""
        place = self._places.pop(channel, None)
        if place is not None and place in self._servers:
            self._servers[place].remove(channel)

    def begin_anew(self) -> None:
        """Replace every connection."""
        for server in self._servers.values():
            server.begin_anew()

    def _server(self, node: Node) -> PubSub:
        server = self._servers.get(node)
        if server is None:
            server = self._servers[node] = self._make_pubsub(node)
            server.start()
        return server

    def _changed(self) -> None:
        if not self._open:
            return
        for channel, place in list(self._places.items()):
            if place != self._slots.owner(channel):
                self.remove(channel)
                self.add(channel)
        owners = self._slots.owners
        for node in [node for node in self._servers if node not in owners]:
            task = asyncio.create_task(self._servers.pop(node).close())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
