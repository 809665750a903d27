"""The `connect` frame: verify the key, open the session, answer, and go on where the client stopped.

`protocol.md`, "Life of a connection", points 2 and 3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

from ws_edge.core import server_frames
from ws_edge.core.client_frames import ConnectData, DataDecoder, Envelope, ResumeEntry
from ws_edge.core.close_codes import CloseCode
from ws_edge.core.connection import Connection, State
from ws_edge.core.errors import ErrorType, FrameError
from ws_edge.core.fanout import subscription
from ws_edge.core.handler_base import Refuse
from ws_edge.core.key_terms import KeyTerms
from ws_edge.core.limits import ConnectionLimits, KeyBuckets
from ws_edge.core.membership_handlers import MembershipHandlers
from ws_edge.core.names import BROADCAST_CHANNEL, inbox, topic_of
from ws_edge.core.ports import (
    Answer,
    Clock,
    Keys,
    KeyVerdict,
    Opened,
    Position,
    ServiceAway,
    SessionFacts,
    SessionLink,
)
from ws_edge.core.refusals import away_error, failure_error
from ws_edge.core.registry import Registry
from ws_edge.core.stats import EdgeStats
from ws_edge.core.topics import TopicTable

DENIALS: Final[Mapping[str, ErrorType]] = MappingProxyType(
    {
        "NOT_FOUND": ErrorType.INVALID_KEY,
        "EXPIRED": ErrorType.TOKEN_EXPIRED,
        "REVOKED": ErrorType.KEY_REVOKED,
        "DISABLED": ErrorType.KEY_DISABLED,
        "FORBIDDEN": ErrorType.PERMISSION_DENIED,
        "INSUFFICIENT_PERMISSIONS": ErrorType.PERMISSION_DENIED,
        "RATE_LIMITED": ErrorType.RATE_LIMITED,
        "USAGE_EXCEEDED": ErrorType.PERMISSION_DENIED,
    }
)

VERIFIED_TOO_OFTEN: Final = "API key is used too often, or too many attempts from this address failed"
USED_UP: Final = "API key is used up: it was good for a number of uses"


class Authentication:
    """Turns connections that wait for a key into authenticated ones."""

    def __init__(
        self,
        *,
        keys: Keys,
        link: SessionLink,
        clock: Clock,
        new_id: Callable[[], str],
        topics: TopicTable,
        registry: Registry,
        terms: KeyTerms,
        membership: MembershipHandlers,
        heartbeat_ms: int,
        stats: EdgeStats,
        refuse: Refuse,
    ) -> None:
        self._keys = keys
        self._link = link
        self._clock = clock
        self._new_id = new_id
        self._topics = topics
        self._registry = registry
        self._terms = terms
        self._membership = membership
        self._heartbeat_ms = heartbeat_ms
        self._stats = stats
        self._refuse = refuse
        self._data = DataDecoder(ConnectData)

    @staticmethod
    def standing_channels(who: SessionFacts) -> tuple[str, str]:
        """Return the channels that every authenticated client is a member of: broadcasts and its inbox."""
        return BROADCAST_CHANNEL, inbox(who.client_id)

    @staticmethod
    def inbox_topic(who: SessionFacts) -> str:
        """Return the full name of a client's inbox."""
        return topic_of(who.domain, who.workspace, inbox(who.client_id))

    def connect(self, connection: Connection, envelope: Envelope) -> Awaitable[None]:
        """Handle `connect`; raises or answers `FrameError` for whatever is wrong."""
        if connection.state is not State.AWAITING_KEY:
            raise FrameError(ErrorType.ALREADY_AUTHENTICATED)
        data: ConnectData = self._data.decode(envelope)
        connection.move(State.AUTHENTICATING)
        return self._authenticate(connection, envelope, data)

    async def _authenticate(self, connection: Connection, envelope: Envelope, data: ConnectData) -> None:
        try:
            verdict = await self._verify(connection, data)
            if connection.closed:
                return
            self._check_key_connections(verdict)
            # From here on a change of the key finds this connection.
            connection.newest_verdict = verdict
            connection.facts = SessionFacts(
                connection.number,
                self._new_id(),
                connection.client_id,
                data.domain,
                data.workspace,
                data.connection_type,
                verdict.key_id,
            )
            buckets = self._registry.hold(connection, verdict.limits, self._clock.monotonic_s())
            standing = self.standing_channels(connection.facts)
            resumed = {entry.channel: _position(entry) for entry in data.resume if entry.channel in standing}
            broadcasts, inbox_position = (resumed.get(channel) for channel in standing)
            await self._link.open(
                connection.facts,
                lambda answer: self._opened(connection, envelope, buckets, frozenset(resumed), answer),
                broadcasts=broadcasts,
                inbox=inbox_position,
            )
        finally:
            if connection.state is State.AUTHENTICATING:
                self._registry.release(connection)
                connection.facts = None
                connection.move(State.AWAITING_KEY)
            connection.newest_verdict = None
        if connection.state is State.AUTHENTICATED:
            self._stats.connections_resumed += bool(data.resume)
            for entry in data.resume:
                if entry.channel not in resumed:
                    await self._resume(connection, envelope, entry)

    async def _verify(self, connection: Connection, data: ConnectData) -> KeyVerdict:
        changes = self._registry.changes
        try:
            while True:
                before = changes.count
                verdict = await self._keys.verify(data.api_key, data.domain, data.workspace, connection.client_address)
                if not changes.changed_since(verdict.key_id, before):
                    break
        except ServiceAway as exc:
            raise away_error(exc, safe_to_repeat=True) from None
        if verdict.allowed:
            return verdict
        denial = DENIALS.get(verdict.code, ErrorType.INVALID_KEY)
        if denial is ErrorType.RATE_LIMITED:
            raise FrameError(denial, VERIFIED_TOO_OFTEN, retry_after_ms=verdict.retry_after_ms)
        if verdict.code == "USAGE_EXCEEDED":
            raise FrameError(denial, USED_UP)
        if denial is ErrorType.PERMISSION_DENIED:
            where = f"{data.domain}/{data.workspace}"
            raise FrameError(denial, f"Key is not allowed in {where}: {verdict.missing or 'domain or workspace'}")
        raise FrameError(denial)

    def _check_key_connections(self, verdict: KeyVerdict) -> None:
        limit = verdict.limits.max_connections
        if limit and len(self._registry.of_key(verdict.key_id)) >= limit:
            raise FrameError(
                ErrorType.RATE_LIMITED,
                f"Too many connections of this key: at most {limit}",
                close=CloseCode.TRY_AGAIN_LATER,
                retry_after_ms=1000,
            )

    def _opened(
        self,
        connection: Connection,
        envelope: Envelope,
        buckets: KeyBuckets,
        resumed: frozenset[str],
        answer: Answer,
    ) -> None:
        """The session service knows the client: it is authenticated from here on."""
        if connection.closed:
            self._link.close(connection.number)
            return
        if not isinstance(answer, Opened):
            self._link.close(connection.number)  # an opening that comes about late is not to last
            self._refuse(connection, failure_error(answer, repeat_is_safe=True), envelope.id)
            return
        connection.move(State.AUTHENTICATED)
        self._stats.connections_authenticated += 1
        self._terms.begin(connection, buckets)
        who = connection.who
        channels = self.standing_channels(who)
        for channel, position in zip(channels, (answer.broadcasts, answer.inbox), strict=True):
            topic = topic_of(who.domain, who.workspace, channel)
            self._topics.add(topic, channel, position, connection, presence=False)
        self._welcome(connection, envelope)
        pasts = (
            (answer.broadcasts, answer.broadcasts_failure, answer.broadcasts_missed),
            (answer.inbox, answer.inbox_failure, answer.inbox_missed),
        )
        for channel, (position, failure, missed) in zip(channels, pasts, strict=True):
            if channel in resumed:
                connection.send_frame(
                    "subscription_success",
                    subscription(channel, position, recovered=failure is None, failure=failure),
                    frame_id=envelope.id,
                    channel=channel,
                )
            connection.send_replay(channel, list(missed))

    def _welcome(self, connection: Connection, envelope: Envelope) -> None:
        who = connection.who
        connection.send_frame(
            "connection_success",
            {
                "message": "Connected",
                "client_id": who.client_id,
                "session_id": who.session_id,
                "heartbeat_ms": self._heartbeat_ms,
                "limits": shown_limits(connection.limits),
            },
            frame_id=envelope.id,
        )
        words = "Authentication message received and processed"
        connection.send(
            server_frames.delivered(
                "connect",
                self._clock.now_ms(),
                frame_id=envelope.id,
                client_id=connection.client_id,
                words=words,
            )
        )

    async def _resume(self, connection: Connection, envelope: Envelope, entry: ResumeEntry) -> None:
        """Go on with one channel; what is wrong with it is told, and the others go on."""
        try:
            pending = self._membership.resume(connection, envelope, entry.channel, _position(entry))
            if pending is not None:
                await pending
        except FrameError as problem:
            problem.channel = entry.channel
            self._refuse(connection, problem, envelope.id)


def _position(entry: ResumeEntry) -> Position:
    return Position(entry.epoch, entry.offset)


def shown_limits(limits: ConnectionLimits) -> dict[str, int]:
    """Return what `connection_success` tells of the limits."""
    return {
        "max_frame_bytes": limits.max_frame_bytes,
        "max_message_bytes": limits.max_message_bytes,
        "frames_per_second": limits.frames_per_second,
        "frames_burst": limits.frames_burst,
        "bytes_per_second": limits.bytes_per_second,
        "max_channels": limits.max_channels,
        "max_outbox_bytes": limits.max_outbox_bytes,
    }
