"""Who is present: what Redis has, corrected by what this process knows better."""

from __future__ import annotations

from collections.abc import Mapping

from session_service.adapters.cluster_redis_lease import Lease
from session_service.adapters.cluster_redis_words import (
    Entry,
    MalformedWords,
    Words,
    decode_presence,
    member_of,
    process_of,
)
from session_service.adapters.metrics_prometheus import ClusterMetrics
from session_service.adapters.redis_asking import Lanes
from session_service.core.errors import EngineUnavailable
from session_service.core.model import Member
from session_service.core.presence_notes import PresenceNotes


class Members:
    """Reads members of topics.

    Args:
        lanes: Where reads go.
        words: Names and commands.
        lease: Knows who is dead.
        notes: Who is present in this process.
        metrics: Counters.
    """

    def __init__(self, lanes: Lanes, words: Words, lease: Lease, notes: PresenceNotes, metrics: ClusterMetrics) -> None:
        self._lanes = lanes
        self._words = words
        self._lease = lease
        self._notes = notes
        self._metrics = metrics

    async def listed(self, topic: str) -> list[Member]:
        """Return the members by join time, without those of dead services; of our own what is true now.

        Raises:
            SessionError: Redis cannot be read.
        """
        found = await self._entries(topic)
        members = {member.client_id: member for member in self._notes.members(topic)}
        for client_id, entries in found.items():
            ours = members.get(client_id)
            true = [entry for entry in entries if self._counts(entry)]
            if ours is not None:
                since_ms = min(ours.join_time_ms, *(entry.join_time_ms for entry in entries))
                members[client_id] = ours._replace(join_time_ms=since_ms)
            elif true:
                members[client_id] = member_of(client_id, true)
        return sorted(members.values(), key=lambda member: (member.join_time_ms, member.client_id))

    async def stored(self, topic: str) -> Mapping[str, Member]:
        """Return the members as Redis has them, which is what it publishes; raises SessionError."""
        found = await self._entries(topic)
        return {client_id: member_of(client_id, entries) for client_id, entries in found.items()}

    def _counts(self, entry: Entry) -> bool:
        """Return if an entry is true, as far as that is not ours to say."""
        return process_of(entry.service) != self._lease.process and entry.service not in self._lease.dead

    async def _entries(self, topic: str) -> Mapping[str, list[Entry]]:
        reply = await self._lanes.ask(self._words.read(topic))
        try:
            return decode_presence(reply)
        except MalformedWords:
            self._metrics.malformed.inc()
            raise EngineUnavailable("presence cannot be read") from None
