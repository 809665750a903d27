"""Leads what the services tell of their own accord to the gateway: deliveries, and changes of keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from service_runtime.logs import get_logger
from tidewire_client.verifier import KeyChanged
from ws_edge.adapters.canary import Canary
from ws_edge.core.connection import Connection
from ws_edge.core.gateway import Gateway
from ws_edge.core.ports import Member, Position, ServiceAway, SessionFacts

log = get_logger("ws_edge.keys")

RECHECK_RETRY_S = 1.0


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


class KeyWatcher:
    """Acts on changes of keys: closes at once, and checks memberships again in the background, until it is done."""

    def __init__(self) -> None:
        self.gateway: Gateway
        self._waiting: dict[int, Connection] = {}
        self._news = asyncio.Event()

    def key_changed(self, change: KeyChanged) -> None:
        """Close the connections of a key that is no longer good; queue the others for a check."""
        self._enqueue(self.gateway.key_changed(change.key_id, change.code.name))

    def resync(self) -> None:
        """Queue a check of everything: changes may have been missed."""
        self._enqueue(self.gateway.holders())

    def _enqueue(self, connections: Iterable[Connection]) -> None:
        self._waiting.update((connection.number, connection) for connection in connections)
        self._news.set()

    async def run(self) -> None:
        """Check what is queued, one after the other; what cannot be checked now stays queued."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                connection = self._waiting.pop(next(iter(self._waiting)))
                try:
                    if not connection.closed:
                        await self.gateway.recheck(connection)
                except ServiceAway as exc:
                    self._enqueue([connection])
                    log.warning("memberships cannot be checked again yet", cause=str(exc), waiting=len(self._waiting))
                    await asyncio.sleep(RECHECK_RETRY_S)
