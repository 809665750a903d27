"""A cluster of one: what this process says is true at once, and heard by nobody else."""

from __future__ import annotations

from session_service.core.hub import Hub
from session_service.core.model import Member
from session_service.core.ports import ClusterListener, DisconnectOrder


class LocalCluster:
    """Answers from the hub of this process.

    Args:
        hub: The live state.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._listener: ClusterListener | None = None

    def start(self, listener: ClusterListener) -> None:
        """Tell `listener` what is said from now on."""
        self._listener = listener

    def entered(self, topic: str, member: Member) -> None:
        """Say that a client came."""
        if self._listener is not None:
            self._listener.on_presence(topic, member, joined=True)

    def left(self, topic: str, member: Member) -> None:
        """Say that a client went."""
        if self._listener is not None:
            self._listener.on_presence(topic, member, joined=False)

    async def members(self, topic: str) -> list[Member]:
        """Return the members by join time."""
        channel = self._hub.channels.get(topic)
        return [] if channel is None else channel.members()

    async def written(self, topic: str, offset: int) -> int:
        """Return how many members a message was sent to."""
        channel = self._hub.channels.get(topic)
        return 0 if channel is None else channel.written(offset)

    async def disconnect(self, order: DisconnectOrder) -> int:
        """Close the client's connections; return how many."""
        return 0 if self._listener is None else self._listener.on_disconnect(order)
