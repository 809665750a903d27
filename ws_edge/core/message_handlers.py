"""Frames that are stored and delivered: messages to a channel, direct messages and broadcasts."""

from __future__ import annotations

import msgspec

from ws_edge.core import client_frames as cf
from ws_edge.core import server_frames
from ws_edge.core.client_frames import DataDecoder, Envelope
from ws_edge.core.connection import Connection
from ws_edge.core.errors import ErrorType, FrameError
from ws_edge.core.handler_base import HandlerBase, HandlerParts, Pending
from ws_edge.core.names import BROADCAST_CHANNEL, inbox, is_name
from ws_edge.core.ports import Answer, Published
from ws_edge.core.refusals import failure_error, require_channel


class MessageHandlers(HandlerBase):
    """Handlers that publish; on the debug endpoint a message without a channel is echoed."""

    def __init__(self, parts: HandlerParts) -> None:
        super().__init__(parts)
        self._direct_data = DataDecoder(cf.DirectData)
        self._message_data = DataDecoder(cf.MessageData)

    def message(self, connection: Connection, envelope: Envelope) -> Pending:
        """Handle a message to a channel; raises FrameError."""
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

    def direct(self, connection: Connection, envelope: Envelope) -> Pending:
        """Handle `direct_message`; raises FrameError."""
        data: cf.DirectData = self._direct_data.decode(envelope)
        if not is_name(data.to):
            raise FrameError(ErrorType.MESSAGE_ERROR, "`data.to` is not a client_id")
        return self._publish(connection, envelope, "direct", data.to, inbox(data.to), "")

    def broadcast(self, connection: Connection, envelope: Envelope) -> Pending:
        """Handle `broadcast`; raises FrameError."""
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
