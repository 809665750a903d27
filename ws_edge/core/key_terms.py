"""The terms that a key sets for a connection: its limits, and until when it lives."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Final

from ws_edge.core.connection import Connection, State
from ws_edge.core.limits import ConnectionLimits, KeyBuckets
from ws_edge.core.ports import Clock, KeyLimits, KeyVerdict
from ws_edge.core.registry import Registry

# Combinations of limits that are remembered; what is used is held by its connections in any case.
MEMORY: Final = 1024


class KeyTerms:
    """Has connections live by the limits and the expiry of their keys.

    Args:
        defaults: What a connection may do where its key says nothing.
        registry: Knows what the connections of a key share.
        clock: The time.
    """

    def __init__(self, defaults: ConnectionLimits, registry: Registry, clock: Clock) -> None:
        self._defaults = defaults
        self._registry = registry
        self._clock = clock

    def begin(self, connection: Connection, buckets: KeyBuckets) -> None:
        """Let a connection begin by its newest verdict, with nothing used up.

        Args:
            connection: One that was just authenticated.
            buckets: What it shares with the other connections of its key.
        """
        verdict = connection.newest_verdict
        if verdict is None:
            raise AssertionError(f"connection {connection.number} was not verified")
        self._take_over(connection, verdict)
        connection.key_revision = verdict.revision
        connection.guard.adopt(connection.limits, buckets, self._clock.monotonic_s())

    def renew(self, connection: Connection, verdict: KeyVerdict) -> None:
        """Take over what has changed of a key; what a connection has used up already stays used up.

        One that is still being let in will begin with it.
        """
        now = self._clock.monotonic_s()
        self._registry.retune(verdict.key_id, verdict.limits, now)
        if connection.state is not State.AUTHENTICATED:
            connection.newest_verdict = verdict
            return
        self._take_over(connection, verdict)
        connection.guard.retune(connection.limits, now)

    def _take_over(self, connection: Connection, verdict: KeyVerdict) -> None:
        connection.limits = limits_of(verdict.limits, self._defaults)
        connection.expire_time_s = verdict.expire_time_s


@functools.lru_cache(MEMORY)
def limits_of(key: KeyLimits, defaults: ConnectionLimits) -> ConnectionLimits:
    """Return the limits of a key's connections, one object for all: its own, and the edge's where it has none."""
    return replace(
        defaults,
        frames_per_second=key.frames_per_second or defaults.frames_per_second,
        frames_burst=key.frames_burst or defaults.frames_burst,
        bytes_per_second=key.bytes_per_second or defaults.bytes_per_second,
        max_channels=key.max_channels or defaults.max_channels,
    )
