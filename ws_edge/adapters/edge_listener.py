"""Leads what the services tell of their own accord to the gateway: deliveries, and changes of keys."""

from __future__ import annotations

import asyncio
import time

from service_runtime.logs import get_logger
from tidewire_client.verifier import KeyChanged
from ws_edge.adapters.canary import Canary
from ws_edge.core.connection import Connection
from ws_edge.core.gateway import Gateway
from ws_edge.core.ports import Member, Position, ServiceAway, SessionFacts

log = get_logger("ws_edge.keys")

MAX_RECHECKS = 100_000


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

    def canary_returned(self, nonce: str) -> None:
        """Note that a canary came back."""
        self._canary.returned(nonce)

    def sessions(self) -> list[tuple[SessionFacts, Position | None]]:
        """Return the authenticated connections."""
        return self._gateway.sessions()

    def subscriptions(self) -> list[tuple[str, Position, list[int], list[int]]]:
        """Return the topics with members here."""
        return self._gateway.subscriptions()


class KeyWatcher:
    """Acts on changes of keys: closes at once, and checks memberships again in the background."""

    def __init__(self) -> None:
        self.gateway: Gateway
        self._queue: asyncio.Queue[Connection | None] = asyncio.Queue(MAX_RECHECKS)

    def key_changed(self, change: KeyChanged) -> None:
        """Close the connections of a key that is no longer good; queue the others for a check."""
        for connection in self.gateway.key_changed(change.key_id, change.code.name):
            self._enqueue(connection)

    def resync(self) -> None:
        """Queue a check of everything: changes may have been missed."""
        self._enqueue(None)

    def _enqueue(self, item: Connection | None) -> None:
        try:
            self._queue.put_nowait(item)
        except asyncio.QueueFull:
            log.error("too many memberships to check again; the next interruption of the watch checks all")

    async def run(self) -> None:
        """Check what is queued, one after the other."""
        while True:
            item = await self._queue.get()
            try:
                if item is None:
                    await self.gateway.recheck_all()
                elif not item.closed:
                    await self.gateway.recheck(item)
            except ServiceAway as exc:
                log.warning("memberships could not be checked again", cause=str(exc))
