"""The hub and the engine together: channels come to life on first use, and what the engine delivers goes to the edges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from tidewire.session.v1 import edge_stream_pb2 as pb

from service_runtime.clock import Clock
from service_runtime.logs import get_logger
from session_service.adapters import grpc_codec as codec
from session_service.adapters.metrics_prometheus import StreamMetrics
from session_service.core.canary import CANARY_TYPE, canary_topic
from session_service.core.channel import Channel
from session_service.core.errors import ChannelLimit, LimitExceeded, SessionError
from session_service.core.hub import Hub, PresenceChange
from session_service.core.model import Member, NewMessage, Position, RecoveryFailure, Stored, StoredMessage
from session_service.core.ports import Cluster, DisconnectOrder, Engine
from session_service.core.sessions import Edge, Outlet, Session

log = get_logger("session_service.live_channels")

MAX_CANARIES: Final = 1024
Then = Callable[[Channel], None]
Failed = Callable[[SessionError], None]


class _Waiting(NamedTuple):
    then: Then
    failed: Failed


class LiveChannels:
    """Activates channels, delivers, announces presence, keeps the members of an edge that is away for a while.

    Args:
        hub: The live state.
        engine: Where messages come from.
        cluster: The other session services.
        clock: The time.
        metrics: Counters.
        edge_grace_s: Seconds that members of an edge stay after its stream ended.
        linger_s: Seconds that a channel without members stays active, at least.
        max_channels: Active channels at most.
        max_members: Members of a channel by this process at most; those that come with an edge that attaches anew stay.
        framed_delivery: Encodes what edges are sent of a message.
    """

    def __init__(
        self,
        hub: Hub,
        engine: Engine,
        cluster: Cluster,
        clock: Clock,
        metrics: StreamMetrics,
        *,
        service_id: str,
        edge_grace_s: float,
        linger_s: float = 10.0,
        max_channels: int = 1_000_000,
        max_members: int = 40_000,
        framed_delivery: Callable[[StoredMessage], bytes] = codec.framed_delivery,
    ) -> None:
        self.hub = hub
        self.engine = engine
        self.cluster = cluster
        self._clock = clock
        self._metrics = metrics
        self._canary_topic = canary_topic(service_id)
        self._edge_grace_s = edge_grace_s
        self._linger_s = linger_s
        self._max_channels = max_channels
        self._max_members = max_members
        self._framed_delivery = framed_delivery
        self._waiting: dict[str, list[_Waiting]] = {}
        self._canaries: dict[str, Callable[[], None]] = {}
        self._grace: dict[str, asyncio.TimerHandle] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._draining = False

    async def start(self) -> None:
        """Subscribe to the canaries; raises EngineUnavailable."""
        loop = asyncio.get_running_loop()
        subscribed: asyncio.Future[None] = loop.create_future()

        def done(result: Position | SessionError) -> None:
            if isinstance(result, SessionError):
                subscribed.set_exception(result)
            else:
                subscribed.set_result(None)

        self.engine.subscribe(self._canary_topic, done)
        await subscribed
        self._sweeping = loop.call_later(self._linger_s, self._sweep)

    def stop(self) -> None:
        """End the timers."""
        for handle in (self._sweeping, *self._grace.values()):
            if handle is not None:
                handle.cancel()

    def drain(self) -> None:
        """Keep the members of edges that go from now on: they attach elsewhere, and nobody left."""
        self._draining = True

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch."""
        return int(self._clock.now() * 1000)

    # Channels.

    def when_active(self, topic: str, then: Then, failed: Failed) -> None:
        """Call `then` with the channel: at once if it is active, else when the engine delivers it, in the order asked for."""
        channel = self.hub.channels.get(topic)
        if channel is not None:
            then(channel)
            return
        waiting = self._waiting.get(topic)
        if waiting is not None:
            waiting.append(_Waiting(then, failed))
        elif len(self.hub.channels) + len(self._waiting) >= self._max_channels:
            failed(LimitExceeded(f"{self._max_channels} active channels"))
        else:
            self._waiting[topic] = [_Waiting(then, failed)]
            self.engine.subscribe(topic, partial(self._subscribed, topic))

    def _subscribed(self, topic: str, result: Position | SessionError) -> None:
        waiting = self._waiting.pop(topic, [])
        if isinstance(result, SessionError):
            for each in waiting:
                each.failed(result)
            return
        channel = self.hub.activate(topic, result)
        self._metrics.channels.set(len(self.hub.channels))
        for each in waiting:
            each.then(channel)

    def _sweep(self) -> None:
        for topic in self.hub.sweep():
            self.engine.unsubscribe(topic)
        self._metrics.channels.set(len(self.hub.channels))
        self._sweeping = asyncio.get_running_loop().call_later(self._linger_s, self._sweep)

    # What the engine and the cluster say.

    def on_message(self, message: StoredMessage) -> None:
        """Send a message to every edge that has members in its topic, encoded once."""
        if message.topic == self._canary_topic:
            self._canary_came(message)
            return
        edges = self.hub.deliver(message)
        if not edges:
            return
        event = self._framed_delivery(message)
        for edge in edges:
            if edge.outlet is not None:
                edge.outlet.push(event)
        self._metrics.delivered.inc(len(edges))

    def on_renewed(self, topic: str, position: Position, *, lossless: bool) -> None:
        """Tell the edges that a channel goes on in another epoch, and if something that they delivered is gone."""
        self._metrics.renewed.inc()
        log.warning("channel has another epoch", topic=topic, offset=position.offset, lossless=lossless)
        answer = pb.Resubscribed(topic=topic, position=codec.position(position), recovered=lossless)
        if not lossless:
            answer.failure = codec.failure(RecoveryFailure.EPOCH_CHANGED)
        event = codec.framed(pb.Event(resubscribed=answer))
        for edge in self.hub.renew(topic, position):
            if edge.outlet is not None:
                edge.outlet.push(event)

    def on_presence(self, topic: str, member: Member, *, joined: bool) -> None:
        """Tell the edges whose members asked for presence."""
        channel = self.hub.channels.get(topic)
        edges = [] if channel is None else channel.watching()
        if edges:
            change = pb.PresenceChanged(topic=topic, member=codec.member(member), joined=joined)
            event = codec.framed(pb.Event(presence_changed=change))
            for edge in edges:
                if edge.outlet is not None:
                    edge.outlet.push(event)

    def on_disconnect(self, order: DisconnectOrder) -> int:
        """Have the edges close the client's connections; return how many were told."""
        told = 0
        for session in self.hub.sessions_of(order.domain, order.workspace, order.client_id):
            if session.edge.outlet is not None:
                request = pb.DisconnectSession(reason=order.reason, reconnect=order.reconnect)
                session.edge.outlet.push(codec.framed(pb.Event(session=session.number, disconnect_session=request)))
                told += 1
        return told

    def enter(self, session: Session, channel: Channel, *, watch: bool, first: int) -> None:
        """Make a session a member of a channel, and say so; see `Hub.join`."""
        self.announce(self.join(session, channel, watch=watch, first=first))

    def require_room(self, session: Session, channel: Channel) -> None:
        """Raise ChannelLimit if a session's client would be one member too many."""
        if len(channel.clients) >= self._max_members and session.facts.client_id not in channel.clients:
            raise ChannelLimit(f"channel is full: at most {self._max_members} members")

    def join(self, session: Session, channel: Channel, *, watch: bool, first: int) -> list[PresenceChange]:
        """Make a session a member of a channel; return what is then to be announced."""
        changes = self.hub.join(session, channel, watch=watch, first=first, now_ms=self.now_ms())
        if watch:
            self.cluster.watched(channel.topic)
        return changes

    def announce(self, changes: Sequence[PresenceChange], *, resumed: bool = False) -> None:
        """Say who came and went; resumed: they came with their edge."""
        for topic, member, joined in changes:
            if joined:
                self.cluster.entered(topic, member, resumed=resumed)
            else:
                self.cluster.left(topic, member)

    # Edges.

    def attach(self, edge_id: str, outlet: Outlet) -> Edge:
        """Take an edge in, with what it had here if it was away only shortly."""
        timer = self._grace.pop(edge_id, None)
        if timer is not None:
            timer.cancel()
        return self.hub.attach(edge_id, outlet)

    def detach(self, edge: Edge, outlet: Outlet) -> None:
        """Note that a stream ended; the members stay for the grace, unless the edge is back already by another stream."""
        if edge.outlet is not outlet:
            return
        self.hub.detach(edge)
        if self._draining:
            return
        loop = asyncio.get_running_loop()
        self._grace[edge.edge_id] = loop.call_later(self._edge_grace_s, self._remove, edge)

    def _remove(self, edge: Edge) -> None:
        self._grace.pop(edge.edge_id, None)
        log.info("edge did not come back", edge_id=edge.edge_id, sessions=len(edge.sessions))
        self.announce(self.hub.remove_edge(edge))

    # Canaries.

    def send_canary(self, token: str, whose: str, came: Callable[[], None], failed: Failed) -> None:
        """Send a message through the engine; `came` is called when the listener was given it.

        Args:
            token: Unique among all canaries.
            whose: An edge's id, or another name of who sends it.
            came: Called when it is back.
            failed: Called when the engine does not take it.
        """
        while len(self._canaries) >= MAX_CANARIES:
            del self._canaries[next(iter(self._canaries))]
            self._metrics.canaries_lost.inc()
        self._canaries[token] = came

        def stored(result: Stored | SessionError) -> None:
            if isinstance(result, SessionError):
                self._canaries.pop(token, None)
                failed(result)

        self.engine.append(NewMessage(self._canary_topic, CANARY_TYPE, token, whose, b"{}"), stored)

    def forget_canary(self, token: str) -> None:
        """Wait for a canary no longer. Idempotent."""
        self._canaries.pop(token, None)

    def _canary_came(self, message: StoredMessage) -> None:
        came = self._canaries.pop(message.id, None)
        if came is not None:
            came()
