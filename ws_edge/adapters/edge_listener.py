"""Leads what the session service tells of its own accord to the gateway."""

from __future__ import annotations

import time

from ws_edge.adapters.canary import Canary
from ws_edge.core.gateway import Gateway
from ws_edge.core.ports import Member, Position, SessionFacts


class EdgeListener:
    """Implements `grpc_session_stream.StreamListener`."""

    def __init__(self, gateway: Gateway, canary: Canary) -> None:
        self._gateway = gateway
        self._canary = canary
        self.deliver = gateway.fanout.deliver

    def presence_changed(self, topic: str, who: Member, *, joined: bool) -> None:
        """Tell members that somebody came or went."""
        self._gateway.fanout.presence_changed(topic, who, joined=joined, now_ms=time.time_ns() // 1_000_000)

    def resubscribed(self, topic: str, position: Position, failure: str | None) -> None:
        """Go on from a position."""
        self._gateway.fanout.resubscribed(topic, position, failure)

    def disconnect_session(self, number: int, reason: str, *, reconnect: bool) -> None:
        """Close a connection because a back end asked for it."""
        self._gateway.disconnect_session(number, reason, reconnect=reconnect)

    def defect(self, number: int, exc: Exception) -> None:
        """End the connection that an unforeseen exception concerns."""
        self._gateway.defect(number, exc)

    def canary_returned(self, nonce: str) -> None:
        """Note that a canary came back."""
        self._canary.returned(nonce)

    def is_open(self, number: int) -> bool:
        """Say if a connection is still there."""
        return self._gateway.registry.get(number) is not None

    def sessions(self) -> list[tuple[SessionFacts, Position | None]]:
        """Return the authenticated connections."""
        return self._gateway.sessions()

    def subscriptions(self) -> list[tuple[str, Position, list[int], list[int]]]:
        """Return the topics with members here."""
        return self._gateway.subscriptions()
