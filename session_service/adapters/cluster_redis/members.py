"""Who is present: what Redis has, corrected by what this process knows better.

A service takes its lease before it enters anybody, and what a dead one left is dropped before its lease is forgotten. So an
entry of a service that has no lease is a stray: a server of Redis lost a list or a lease. It does not count, and goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from session_service.adapters.cluster_redis.lease import Lease
from session_service.adapters.cluster_redis.words import (
    Entry,
    MalformedWords,
    Words,
    decode_presence,
    member_of,
    process_of,
)
from session_service.adapters.metrics_prometheus import ClusterMetrics
from session_service.adapters.redis_access.asking import Lanes, Reply
from session_service.core.errors import EngineUnavailable, SessionError
from session_service.core.model import Member
from session_service.core.presence_notes import PresenceNotes

MAX_STRAYS: Final = 1000


class Members:
    """Reads members of topics.

    Args:
        lanes: Where reads go.
        words: Names and commands.
        lease: Knows who is dead.
        notes: Who is present in this process.
        metrics: Counters.
        patience_s: Seconds in which a service that lost its lease says everything again.
    """

    def __init__(
        self,
        lanes: Lanes,
        words: Words,
        lease: Lease,
        notes: PresenceNotes,
        metrics: ClusterMetrics,
        *,
        patience_s: float,
    ) -> None:
        self._lanes = lanes
        self._words = words
        self._lease = lease
        self._notes = notes
        self._metrics = metrics
        self._patience_s = patience_s
        self._strays: dict[tuple[str, str], asyncio.TimerHandle] = {}

    def close(self) -> None:
        """Drop no strays any more."""
        for timer in self._strays.values():
            timer.cancel()

    async def listed(self, topic: str) -> list[Member]:
        """Return the members by join time, without those of dead services; of our own what is true now.

        Raises:
            SessionError: Redis cannot be read.
        """
        found = await self._entries(topic)
        services = {entry.service for entries in found.values() for entry in entries}
        if not services <= self._lease.live | self._lease.dead:
            await self._lease.beat()  # perhaps it has just begun
            for service in services - self._lease.live - self._lease.dead:
                self._drop_later(topic, service)
        members = {member.client_id: member for member in self._notes.members(topic)}
        for client_id, entries in found.items():
            ours = members.get(client_id)
            true = [entry for entry in entries if self._counts(entry)]
            if ours is not None:
                since_ms = min([ours.join_time_ms, *(entry.join_time_ms for entry in entries)])
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
        return process_of(entry.service) != self._lease.process and entry.service in self._lease.live

    def _drop_later(self, topic: str, service: str) -> None:
        stray = (topic, service)
        if stray not in self._strays and len(self._strays) < MAX_STRAYS:
            loop = asyncio.get_running_loop()
            self._strays[stray] = loop.call_later(self._patience_s, self._drop, topic, service)

    def _drop(self, topic: str, service: str, cursor: bytes = b"0") -> None:
        """Drop a stray's entries, unless a lease came to light."""
        self._strays.pop((topic, service), None)
        if service in self._lease.live | self._lease.dead:
            return

        def dropped(reply: Reply | SessionError) -> None:
            if not isinstance(reply, SessionError) and reply[0] != b"0":
                self._drop(topic, service, reply[0])

        self._lanes.submit(self._words.drop(topic, service, cursor), dropped)

    async def _entries(self, topic: str) -> Mapping[str, list[Entry]]:
        reply = await self._lanes.ask(self._words.read(topic))
        try:
            return decode_presence(reply)
        except MalformedWords:
            self._metrics.malformed.inc()
            raise EngineUnavailable("presence cannot be read") from None
