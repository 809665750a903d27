"""`join_channel`, `leave_channel`, the channels that a `connect` resumes, and memberships that a key loses."""

from __future__ import annotations

from ws_edge.core import client_frames as cf
from ws_edge.core.client_frames import DataDecoder, Envelope
from ws_edge.core.connection import Connection, Membership
from ws_edge.core.fanout import subscription
from ws_edge.core.handler_base import HandlerBase, HandlerParts, Pending
from ws_edge.core.ports import Answer, Joined, Left, Position
from ws_edge.core.refusals import channel_error, failure_error, require_channel


class MembershipHandlers(HandlerBase):
    """Handlers that make a connection a member of a channel, or end that."""

    def __init__(self, parts: HandlerParts) -> None:
        super().__init__(parts)
        self._join_data = DataDecoder(cf.JoinData)
        self._channel_data = DataDecoder(cf.ChannelData)

    def resume(self, connection: Connection, envelope: Envelope, channel: str, position: Position) -> Pending:
        """Join a channel again from where the client stopped."""
        return self._join_from(connection, envelope, cf.JoinData(channel), position, announce=False)

    def join(self, connection: Connection, envelope: Envelope) -> Pending:
        """Handle `join_channel`; raises FrameError."""
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
        if isinstance(answer, Joined) and connection.channels.get(channel) is Membership.EXPELLED:
            return  # the answer to the leave that is behind it tells the client
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

    def leave(self, connection: Connection, envelope: Envelope) -> None:
        """Handle `leave_channel`; raises FrameError."""
        data: cf.ChannelData = self._channel_data.decode(envelope)
        channel = data.channel
        self._require_membership(connection, channel)
        connection.channels[channel] = Membership.LEAVING

        def left(answer: Answer) -> None:
            if connection.closed:
                return
            if not isinstance(answer, Left):
                self._refuse(connection, failure_error(answer, repeat_is_safe=True, channel=channel), envelope.id)
                if connection.channels.get(channel) is Membership.LEAVING:
                    connection.channels[channel] = Membership.JOINED
                return
            connection.send_delivered(envelope, channel=channel)
            self._unsubscribe(connection, channel, frame_id=envelope.id)

        self._link.leave(connection.number, self._topic(connection, channel), left)

    def expel(self, connection: Connection, channel: str, reason: str) -> None:
        """Take a membership away that the key no longer allows. Idempotent.

        One that is still being joined or left is taken away behind that: nothing of the channel is told any more.
        """
        state = connection.channels.get(channel)
        if state is None or state is Membership.EXPELLED:
            return
        topic = self._topic(connection, channel)
        if state is Membership.JOINED:
            self._link.leave(connection.number, topic, ignore)
            self._unsubscribe(connection, channel, reason=reason)
            return
        connection.channels[channel] = Membership.EXPELLED
        self._topics.remove(topic, connection)

        def left(answer: Answer) -> None:
            if not connection.closed and connection.channels.get(channel) is Membership.EXPELLED:
                self._unsubscribe(connection, channel, reason=reason)

        self._link.leave(connection.number, topic, left)

    def _unsubscribe(
        self, connection: Connection, channel: str, *, frame_id: str | None = None, reason: str | None = None
    ) -> None:
        self._topics.remove(self._topic(connection, channel), connection)
        if connection.channels.get(channel) is not Membership.JOINING:  # else it was joined again behind the leave
            connection.channels.pop(channel, None)
        data = {"channel": channel, "status": "success", "message": "Successfully left channel"}
        if reason is not None:
            data |= {"message": "Removed from channel", "reason": reason}
        connection.send_frame("unsubscription_success", data, frame_id=frame_id, channel=channel)


def ignore(answer: Answer) -> None:
    """Take an answer that nobody waits for."""
