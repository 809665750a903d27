"""What each frame of an authenticated client does (`protocol.md`, "Frames of a client").

A handler answers at once where it can, and returns an awaitable only when the auth service has to be asked first. Commands
go to the session service in the order of the frames; answers are sent from callbacks, in the order of its events.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec

from ws_edge.core import client_frames as cf
from ws_edge.core import server_frames
from ws_edge.core.client_frames import DataDecoder, Envelope
from ws_edge.core.connection import Connection, Membership
from ws_edge.core.errors import ContractBroken, ErrorType, FrameError, defect_error
from ws_edge.core.fanout import subscription
from ws_edge.core.names import BROADCAST_CHANNEL, inbox, is_channel, is_name, topic_of
from ws_edge.core.ports import (
    Answer,
    Clock,
    Failed,
    FailureKind,
    HistoryPage,
    Joined,
    Keys,
    KeyVerdict,
    Left,
    OnAnswer,
    Position,
    PresenceList,
    Published,
    ReceiptState,
    ServiceAway,
    SessionLink,
)
from ws_edge.core.topics import TopicTable

Pending = Awaitable[None] | None

FAILURE_TYPES: Final = {
    FailureKind.TIMEOUT: ErrorType.TIMEOUT,
    FailureKind.UNAVAILABLE: ErrorType.UNAVAILABLE,
    FailureKind.LIMIT: ErrorType.UNAVAILABLE,
    FailureKind.INVALID: ErrorType.MESSAGE_ERROR,
    FailureKind.INTERNAL: ErrorType.UNAVAILABLE,
}


class Refuse(Protocol):
    """Answers a frame with an error."""

    def __call__(self, connection: Connection, problem: FrameError, frame_id: str | None) -> None:
        """Send the error, and close if the table says so."""


class FrameHandlers:
    """Handlers by frame type.

    Args:
        keys: Decides about permissions.
        link: Where commands go.
        clock: The time.
        new_id: Makes ids for messages that came without one.
        topics: Who is a member of what.
        refuse: Answers a frame with an error.
    """

    def __init__(
        self,
        *,
        keys: Keys,
        link: SessionLink,
        clock: Clock,
        new_id: Callable[[], str],
        topics: TopicTable,
        refuse: Refuse,
    ) -> None:
        self._keys = keys
        self._link = link
        self._clock = clock
        self._new_id = new_id
        self._topics = topics
        self._refuse = refuse
        self._join_data = DataDecoder(cf.JoinData)
        self._channel_data = DataDecoder(cf.ChannelData)
        self._ack_data = DataDecoder(cf.AckData)
        self._history_data = DataDecoder(cf.HistoryData)
        self._receipt_data = DataDecoder(cf.ReceiptData)
        self._direct_data = DataDecoder(cf.DirectData)
        self._message_data = DataDecoder(cf.MessageData)
        self._table: dict[str, Callable[[Connection, Envelope], Pending]] = {
            **dict.fromkeys(cf.MESSAGE_TYPES, self._message),
            "join_channel": self._join,
            "leave_channel": self._leave,
            "direct_message": self._direct,
            "broadcast": self._broadcast,
            "ack": self._ack,
            "history": self._history,
            "presence": self._presence,
            "receipt": self._receipt,
            "ping": self._ping,
        }

    def handle(self, connection: Connection, envelope: Envelope) -> Pending:
        """Handle one frame.

        Returns:
            None when done; else what must be awaited before the next frame of the connection.

        Raises:
            FrameError: The frame is refused.
        """
        handler = self._table.get(envelope.type)
        if handler is None:
            if connection.debug:
                self._echo(connection, envelope)
                return None
            raise FrameError(ErrorType.UNKNOWN_TYPE, f"Unknown frame type: {envelope.type[:64]}")
        return handler(connection, envelope)

    # Membership.

    def resume(self, connection: Connection, envelope: Envelope, channel: str, position: Position) -> Pending:
        """Join a channel again from where the client stopped."""
        return self._join_from(connection, envelope, cf.JoinData(channel), position, announce=False)

    def _join(self, connection: Connection, envelope: Envelope) -> Pending:
        data: cf.JoinData = self._join_data.decode(envelope)
        recover = data.recover
        since = Position(recover.epoch, recover.offset) if isinstance(recover, cf.Position) else None
        return self._join_from(connection, envelope, data, since, announce=True)

    def _join_from(
        self,
        connection: Connection,
        envelope: Envelope,
        data: cf.JoinData,
        since: Position | None,
        *,
        announce: bool,
    ) -> Pending:
        channel = data.channel
        require_channel(channel)
        if connection.channels.get(channel, Membership.LEAVING) is not Membership.LEAVING:
            raise channel_error(409, f"Already a member of {channel}", channel)
        if len(connection.channels) >= connection.limits.max_channels:
            limit = connection.limits.max_channels
            raise channel_error(409, f"Too many channels: at most {limit}", channel)

        def go() -> None:
            connection.channels[channel] = Membership.JOINING
            self._link.join(
                connection.number,
                self._topic(connection, channel),
                lambda answer: self._joined(connection, envelope, data, answer, announce=announce),
                since=since,
                last_acked=data.recover == "last_acked",
                last=data.history or 0,
                presence=data.presence,
            )

        return self._authorized(connection, "join", channel, go)

    def _joined(
        self, connection: Connection, envelope: Envelope, data: cf.JoinData, answer: Answer, *, announce: bool
    ) -> None:
        channel = data.channel
        if connection.closed:
            return
        if not isinstance(answer, Joined):
            connection.channels.pop(channel, None)
            self._refuse(connection, failure_error(answer, repeat_is_safe=True, channel=channel), envelope.id)
            return
        if connection.channels.get(channel) is Membership.JOINING:
            connection.channels[channel] = Membership.JOINED
        topic = self._topic(connection, channel)
        self._topics.add(topic, channel, answer.position, connection, presence=data.presence)
        if announce:
            connection.send_delivered(envelope, channel=channel)
        connection.send_frame(
            "subscription_success",
            subscription(channel, answer.position, recovered=answer.recovered, failure=answer.failure),
            frame_id=envelope.id,
            channel=channel,
        )
        connection.send_replay(channel, list(answer.missed))

    def _leave(self, connection: Connection, envelope: Envelope) -> None:
        data: cf.ChannelData = self._channel_data.decode(envelope)
        channel = data.channel
        self._require_membership(connection, channel)
        connection.channels[channel] = Membership.LEAVING

        def left(answer: Answer) -> None:
            if connection.closed:
                return
            if not isinstance(answer, Left):
                self._refuse(connection, failure_error(answer, repeat_is_safe=True, channel=channel), envelope.id)
                connection.channels[channel] = Membership.JOINED
                return
            connection.send_delivered(envelope, channel=channel)
            self._unsubscribe(connection, channel, frame_id=envelope.id)

        self._link.leave(connection.number, self._topic(connection, channel), left)

    def expel(self, connection: Connection, channel: str, reason: str) -> None:
        """Take a membership away that the key no longer allows."""
        self._link.leave(connection.number, self._topic(connection, channel), ignore)
        self._unsubscribe(connection, channel, reason=reason)

    def _unsubscribe(
        self, connection: Connection, channel: str, *, frame_id: str | None = None, reason: str | None = None
    ) -> None:
        self._topics.remove(self._topic(connection, channel), connection)
        connection.channels.pop(channel, None)
        data = {"channel": channel, "status": "success", "message": "Successfully left channel"}
        if reason is not None:
            data |= {"message": "Removed from channel", "reason": reason}
        connection.send_frame("unsubscription_success", data, frame_id=frame_id, channel=channel)

    # Messages.

    def _message(self, connection: Connection, envelope: Envelope) -> Pending:
        channel = envelope.channel
        if channel is None:
            if connection.debug:
                self._echo(connection, envelope)
                return None
            raise FrameError(ErrorType.CHANNEL_ERROR, f"{envelope.type}: `channel` is required")
        require_channel(channel)
        self._require_membership(connection, channel)
        data: cf.MessageData = self._message_data.decode(envelope)
        if envelope.type in cf.CONTENT_REQUIRED and data.content is msgspec.UNSET:
            raise FrameError(ErrorType.MESSAGE_ERROR, f"{envelope.type}: `data.content` is required", channel=channel)
        if data.thread_id is not None and not is_name(data.thread_id):
            raise FrameError(ErrorType.MESSAGE_ERROR, "`data.thread_id` is not a thread id", channel=channel)
        return self._publish(connection, envelope, "publish", channel, channel, data.thread_id or "")

    def _direct(self, connection: Connection, envelope: Envelope) -> Pending:
        data: cf.DirectData = self._direct_data.decode(envelope)
        if not is_name(data.to):
            raise FrameError(ErrorType.MESSAGE_ERROR, "`data.to` is not a client_id")
        return self._publish(connection, envelope, "direct", data.to, inbox(data.to), "")

    def _broadcast(self, connection: Connection, envelope: Envelope) -> Pending:
        cf.require_object(envelope)
        return self._publish(connection, envelope, "broadcast", BROADCAST_CHANNEL, BROADCAST_CHANNEL, "")

    def _publish(
        self,
        connection: Connection,
        envelope: Envelope,
        action: str,
        resource: str,
        channel: str,
        thread_id: str,
    ) -> Pending:
        data = bytes(envelope.data)
        if len(data) > connection.limits.max_message_bytes:
            limit = connection.limits.max_message_bytes
            raise FrameError(
                ErrorType.MESSAGE_ERROR, f"Message is larger than {limit} bytes", code=413, channel=channel
            )
        message_id = envelope.id or self._new_id()

        def published(answer: Answer) -> None:
            if connection.closed:
                return
            if not isinstance(answer, Published):
                safe = envelope.id is not None
                problem = failure_error(answer, repeat_is_safe=safe, channel=channel)
                self._refuse(connection, problem, envelope.id)
                return
            connection.send(
                server_frames.delivered(
                    envelope.type,
                    self._clock.now_ms(),
                    frame_id=answer.id,
                    client_id=connection.client_id,
                    channel=channel,
                    position=answer.position,
                )
            )

        def go() -> None:
            topic = self._topic(connection, channel)
            self._link.publish(connection.number, topic, envelope.type, message_id, data, thread_id, published)

        return self._authorized(connection, action, resource, go)

    # Positions and questions.

    def _ack(self, connection: Connection, envelope: Envelope) -> None:
        data: cf.AckData = self._ack_data.decode(envelope)
        if data.channel not in (BROADCAST_CHANNEL, inbox(connection.client_id)):
            self._require_membership(connection, data.channel)
        topic = self._topic(connection, data.channel)
        self._link.acknowledge(connection.number, topic, Position(data.epoch, data.offset))

    def _history(self, connection: Connection, envelope: Envelope) -> Pending:
        data: cf.HistoryData = self._history_data.decode(envelope)
        channel = data.channel
        since = None if data.since is None else (data.since.epoch or "", data.since.offset)

        def reply(page: HistoryPage) -> None:
            connection.send(
                server_frames.history(
                    page.messages,
                    page.newest,
                    page.more,
                    page.failure,
                    self._clock.now_ms(),
                    frame_id=envelope.id,
                    channel=channel,
                    client_id=connection.client_id,
                )
            )

        def go() -> None:
            self._link.read_history(
                connection.number,
                self._topic(connection, channel),
                self._answering(connection, envelope, channel, HistoryPage, reply),
                since=since,
                limit=data.limit,
            )

        if channel in (BROADCAST_CHANNEL, inbox(connection.client_id)):
            go()
            return None
        require_channel(channel)
        return self._authorized(connection, "history", channel, go)

    def _presence(self, connection: Connection, envelope: Envelope) -> Pending:
        data: cf.ChannelData = self._channel_data.decode(envelope)
        channel = data.channel
        require_channel(channel)

        def reply(presence: PresenceList) -> None:
            members = [server_frames.member(m) for m in presence.members]
            connection.send_frame(
                "presence", {"channel": channel, "members": members}, frame_id=envelope.id, channel=channel
            )

        def go() -> None:
            self._link.read_presence(
                connection.number,
                self._topic(connection, channel),
                self._answering(connection, envelope, channel, PresenceList, reply),
            )

        return self._authorized(connection, "presence", channel, go)

    def _receipt(self, connection: Connection, envelope: Envelope) -> Pending:
        data: cf.ReceiptData = self._receipt_data.decode(envelope)
        channel = data.channel

        def reply(state: ReceiptState) -> None:
            connection.send_frame(
                "receipt",
                {
                    "channel": channel,
                    "epoch": state.position.epoch,
                    "offset": state.position.offset,
                    "written": state.written,
                    "acknowledged": state.acknowledged,
                },
                frame_id=envelope.id,
                channel=channel,
            )

        def go() -> None:
            self._link.read_receipt(
                connection.number,
                self._topic(connection, channel),
                data.offset,
                self._answering(connection, envelope, channel, ReceiptState, reply),
            )

        if not channel.startswith("@"):
            require_channel(channel)
        return self._authorized(connection, "history", channel, go)

    def _ping(self, connection: Connection, envelope: Envelope) -> None:
        data = envelope.data or cf.EMPTY_OBJECT
        now = self._clock.now_ms()
        connection.send(server_frames.pong(data, now, frame_id=envelope.id, client_id=connection.client_id))

    def _echo(self, connection: Connection, envelope: Envelope) -> None:
        """Send a frame back (debug endpoint only), and confirm it."""
        now = self._clock.now_ms()
        connection.send(
            server_frames.echo(
                envelope.type,
                envelope.data or cf.EMPTY_OBJECT,
                now,
                frame_id=envelope.id,
                channel=envelope.channel,
                client_id=connection.client_id,
            )
        )
        connection.send_delivered(envelope)

    # What the handlers share.

    def _topic(self, connection: Connection, channel: str) -> str:
        who = connection.who
        return topic_of(who.domain, who.workspace, channel)

    def _require_membership(self, connection: Connection, channel: str) -> None:
        if connection.channels.get(channel, Membership.LEAVING) is Membership.LEAVING:
            raise channel_error(404, f"Not a member of {channel[:128]}", channel)

    def _authorized(self, connection: Connection, action: str, resource: str, go: Callable[[], None]) -> Pending:
        """Run `go` if the key allows the action; at once when the decision is known."""
        who = connection.who
        verdict = self._keys.check_cached(who.key_id, action, resource, who.domain, who.workspace)
        if verdict is None:
            return self._ask(connection, action, resource, go)
        require_allowed(verdict, action, resource)
        go()
        return None

    async def _ask(self, connection: Connection, action: str, resource: str, go: Callable[[], None]) -> None:
        who = connection.who
        try:
            verdict = await self._keys.check(who.key_id, action, resource, who.domain, who.workspace)
        except ServiceAway as exc:
            kind = ErrorType.TIMEOUT if exc.timed_out else ErrorType.UNAVAILABLE
            raise FrameError(
                kind, str(exc).capitalize(), details={"safe_to_repeat": True}, retry_after_ms=1000
            ) from None
        if connection.closed:
            return
        require_allowed(verdict, action, resource)
        go()

    def _answering(
        self,
        connection: Connection,
        envelope: Envelope,
        channel: str,
        expected: type[Any],
        reply: Callable[[Any], None],
    ) -> OnAnswer:
        """Return a callback that replies to an answer of the expected kind, and refuses the frame on any other."""

        def answered(answer: Answer) -> None:
            if connection.closed:
                return
            if isinstance(answer, expected):
                reply(answer)
            else:
                self._refuse(connection, failure_error(answer, repeat_is_safe=True, channel=channel), envelope.id)

        return answered


def ignore(answer: Answer) -> None:
    """Take an answer that nobody waits for."""


def require_channel(channel: str) -> None:
    """Raise `channel_error` unless `channel` is a name that clients may join."""
    if not is_channel(channel):
        raise channel_error(400, "Bad channel name: 1 to 128 of A-Z a-z 0-9 _ - . : / @ #, not beginning with @", None)


def channel_error(code: int, message: str, channel: str | None) -> FrameError:
    """Return a `channel_error`."""
    return FrameError(ErrorType.CHANNEL_ERROR, message, code=code, channel=channel)


def require_allowed(verdict: KeyVerdict, action: str, resource: str) -> None:
    """Raise `permission_denied`, naming the permission, unless the verdict allows."""
    if not verdict.allowed:
        missing = f"{action}:{resource}"
        raise FrameError(ErrorType.PERMISSION_DENIED, f"Missing permission: {missing}", details={"permission": missing})


def failure_error(answer: Answer, *, repeat_is_safe: bool, channel: str | None = None) -> FrameError:
    """Return the error for a command that the session service did not do.

    Args:
        answer: What came instead of the expected answer.
        repeat_is_safe: The client can repeat the frame without doing anything twice, even if it was done.
        channel: What it is about.
    """
    if not isinstance(answer, Failed):
        return defect_error(ContractBroken(f"unexpected answer: {type(answer).__name__}"))
    safe = repeat_is_safe or answer.safe_to_repeat
    words = "safe to repeat" if safe else "repeating may store it twice"
    return FrameError(
        FAILURE_TYPES[answer.kind],
        f"{answer.message} ({words})",
        details={"safe_to_repeat": safe},
        retry_after_ms=None if answer.kind is FailureKind.INVALID else 1000,
        channel=channel,
    )
