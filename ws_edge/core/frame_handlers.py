"""What each frame of an authenticated client does (`protocol.md`, "Frames of a client"): the table of handlers by frame type.

A handler answers at once where it can, and returns an awaitable only when the auth service has to be asked first. Commands
go to the session service in the order of the frames; answers are sent from callbacks, in the order of its events.
"""

from __future__ import annotations

from collections.abc import Callable

from ws_edge.core import client_frames as cf
from ws_edge.core import server_frames
from ws_edge.core.client_frames import Envelope
from ws_edge.core.connection import Connection
from ws_edge.core.errors import ErrorType, FrameError
from ws_edge.core.handler_base import HandlerBase, HandlerParts, Pending
from ws_edge.core.membership_handlers import MembershipHandlers
from ws_edge.core.message_handlers import MessageHandlers
from ws_edge.core.reading_handlers import ReadingHandlers


class FrameHandlers(HandlerBase):
    """Handlers by frame type.

    Args:
        parts: What they work with.
    """

    def __init__(self, parts: HandlerParts) -> None:
        super().__init__(parts)
        self.membership = MembershipHandlers(parts)
        messages = MessageHandlers(parts)
        reading = ReadingHandlers(parts)
        self._table: dict[str, Callable[[Connection, Envelope], Pending]] = {
            **dict.fromkeys(cf.MESSAGE_TYPES, messages.message),
            "join_channel": self.membership.join,
            "leave_channel": self.membership.leave,
            "direct_message": messages.direct,
            "broadcast": messages.broadcast,
            "ack": reading.ack,
            "history": reading.history,
            "presence": reading.presence,
            "receipt": reading.receipt,
            "ping": self._ping,
        }

    @property
    def types(self) -> frozenset[str]:
        """The types of frames that are known."""
        return frozenset(self._table)

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

    def _ping(self, connection: Connection, envelope: Envelope) -> None:
        data = envelope.data or cf.EMPTY_OBJECT
        now = self._clock.now_ms()
        connection.send(server_frames.pong(data, now, frame_id=envelope.id, client_id=connection.client_id))
