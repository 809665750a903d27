"""Frames that ask, or say how far a client has read: `ack`, `history`, `presence`, `receipt`."""

from __future__ import annotations

from ws_edge.core import client_frames as cf
from ws_edge.core import server_frames
from ws_edge.core.client_frames import DataDecoder, Envelope
from ws_edge.core.connection import Connection
from ws_edge.core.handler_base import HandlerBase, HandlerParts, Pending
from ws_edge.core.names import BROADCAST_CHANNEL, inbox
from ws_edge.core.ports import HistoryPage, Position, PresenceList, ReceiptState
from ws_edge.core.refusals import require_channel


class ReadingHandlers(HandlerBase):
    """Handlers that store no message."""

    def __init__(self, parts: HandlerParts) -> None:
        super().__init__(parts)
        self._ack_data = DataDecoder(cf.AckData)
        self._channel_data = DataDecoder(cf.ChannelData)
        self._history_data = DataDecoder(cf.HistoryData)
        self._receipt_data = DataDecoder(cf.ReceiptData)

    def ack(self, connection: Connection, envelope: Envelope) -> None:
        """Handle `ack`; raises FrameError."""
        data: cf.AckData = self._ack_data.decode(envelope)
        if data.channel not in (BROADCAST_CHANNEL, inbox(connection.client_id)):
            self._require_membership(connection, data.channel)
        topic = self._topic(connection, data.channel)
        self._link.acknowledge(connection.number, topic, Position(data.epoch, data.offset))

    def history(self, connection: Connection, envelope: Envelope) -> Pending:
        """Handle `history`; raises FrameError."""
        data: cf.HistoryData = self._history_data.decode(envelope)
        channel = data.channel
        since = None if data.since is None else (data.since.epoch or "", data.since.offset)

        def reply(page: HistoryPage) -> None:
            connection.send_asked(
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

    def presence(self, connection: Connection, envelope: Envelope) -> Pending:
        """Handle `presence`; raises FrameError."""
        data: cf.ChannelData = self._channel_data.decode(envelope)
        channel = data.channel
        require_channel(channel)

        def reply(presence: PresenceList) -> None:
            members = [server_frames.member(m) for m in presence.members]
            connection.send_asked(
                server_frames.frame(
                    "presence",
                    {"channel": channel, "members": members},
                    self._clock.now_ms(),
                    frame_id=envelope.id,
                    channel=channel,
                    client_id=connection.client_id,
                )
            )

        def go() -> None:
            self._link.read_presence(
                connection.number,
                self._topic(connection, channel),
                self._answering(connection, envelope, channel, PresenceList, reply),
            )

        return self._authorized(connection, "presence", channel, go)

    def receipt(self, connection: Connection, envelope: Envelope) -> Pending:
        """Handle `receipt`; raises FrameError."""
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
