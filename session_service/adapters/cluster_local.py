"""A cluster of one: what this process says is true at once, and heard by nobody else."""

from __future__ import annotations

from service_runtime.clock import Clock
from session_service.core.hub import Hub
from session_service.core.model import Member
from session_service.core.ports import ClusterListener, DisconnectOrder


class LocalCluster:
    """Answers from the hub of this process.

    Args:
        hub: The live state.
        clock: The time.
        quiet_s: Seconds after the start in which members who come with their edges are not announced: they never went, it
            was this process that forgot them.
    """

    def __init__(self, hub: Hub, clock: Clock, *, quiet_s: float) -> None:
        self._hub = hub
        self._clock = clock
        self._quiet_s = quiet_s
        self._quiet_until_s = 0.0
        self._listener: ClusterListener | None = None

    async def start(self, listener: ClusterListener) -> None:
        """Tell `listener` what is said from now on."""
        self._listener = listener
        self._quiet_until_s = self._clock.monotonic() + self._quiet_s

    async def close(self) -> None:
        """Tell nothing more."""
        self._listener = None

    def entered(self, topic: str, member: Member, *, resumed: bool = False) -> None:
        """Say that a client came."""
        is_quiet = resumed and self._clock.monotonic() < self._quiet_until_s
        if self._listener is not None and not is_quiet:
            self._listener.on_presence(topic, member, joined=True)

    def left(self, topic: str, member: Member) -> None:
        """Say that a client went."""
        if self._listener is not None:
            self._listener.on_presence(topic, member, joined=False)

    def watched(self, topic: str) -> None:
        """Nothing is to be done: the listener is told everything."""

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
