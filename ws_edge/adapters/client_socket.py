"""One client's WebSocket, from its upgrade to its end: the protocol of its transport, and the sink of its outbox.

Bytes go straight to the socket's descriptor while the transport holds none back, and to the transport as soon as the kernel
takes less than all: so the order of bytes is the order of calls. Nobody else writes to the transport. Over TLS it is always
the transport. The descriptor belongs to the transport, which says `is_closing` before it closes it: after that nothing is
written.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from ws_edge.adapters.heartbeats import Heartbeats
from ws_edge.adapters.lingering_close import LingeringCloses
from ws_edge.core import websocket_reader as ws
from ws_edge.core.connection import Connection
from ws_edge.core.gateway import Gateway
from ws_edge.core.websocket_frame import close_frame, pong_frame

CLOSE_WAIT_S: Final = 5.0
# What may wait while an earlier frame of the client waits for the auth or the session service.
MAX_HELD_BYTES: Final = 128 * 1024
_NO_DESCRIPTOR: Final = -1
_NORMAL: Final = 1000
_write: Final = os.write


@dataclass(frozen=True, slots=True)
class SocketParts:
    """What all client sockets share.

    Attributes:
        gateway: Where messages go.
        heartbeats: Pings each socket.
        closes: Ends them.
        max_frame_bytes: The largest message.
        auth_timeout_s: The time in which `connect` must come, in seconds.
    """

    gateway: Gateway
    heartbeats: Heartbeats
    closes: LingeringCloses
    max_frame_bytes: int
    auth_timeout_s: float


class ClientSocket(asyncio.Protocol):
    """Implements `ws_edge.core.ports.ByteSink`, and feeds the gateway with what comes.

    Args:
        parts: What all of them share.
        transport: Of the connection; its protocol is this object from now on.
    """

    __slots__ = (
        "_busy",
        "_connection",
        "_descriptor",
        "_direct",
        "_ended",
        "_parts",
        "_reader",
        "_timer",
        "_transport",
        "heard",
    )

    def __init__(self, parts: SocketParts, transport: asyncio.Transport) -> None:
        self.heard = True
        self._parts = parts
        self._transport = transport
        self._reader = ws.WebSocketReader(parts.max_frame_bytes)
        self._connection: Connection
        self._busy: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self._descriptor = _NO_DESCRIPTOR
        if transport.get_extra_info("sslcontext") is None:
            self._descriptor = transport.get_extra_info("socket").fileno()
        # The transport holds nothing back: the next bytes may go to the descriptor.
        self._direct = False
        transport.set_protocol(self)

    def start(self, connection: Connection, early: bytes) -> None:
        """Begin to read.

        Args:
            connection: What the gateway took in.
            early: What the client sent behind its request, before the answer.
        """
        self._connection = connection
        if self._ended:  # it was not taken in
            return
        parts = self._parts
        parts.heartbeats.add(self)
        self._timer = asyncio.get_running_loop().call_later(parts.auth_timeout_s, self._time_for_a_key_is_over)
        if early:
            self.data_received(early)

    def _time_for_a_key_is_over(self) -> None:
        self._timer = None
        self._parts.gateway.authentication_deadline(self._connection)

    # Bytes out (ByteSink).

    @property
    def unsent(self) -> int:
        """See `ByteSink.unsent`; what the kernel has taken counts as sent."""
        return self._transport.get_write_buffer_size()

    def write(self, data: bytes, bound: int) -> int:
        """See `ByteSink.write`; a connection that is closing ignores it."""
        transport = self._transport
        if transport.is_closing():
            return 0
        if not self._direct:
            unsent = transport.get_write_buffer_size()
            if unsent:
                if unsent + len(data) > bound:
                    return -1
                transport.write(data)
                return transport.get_write_buffer_size()
            self._direct = self._descriptor >= 0
        if self._direct:
            try:
                taken = _write(self._descriptor, data)
            except OSError:  # it takes none now, or the connection is broken: the transport finds out which
                taken = 0
            if taken == len(data):
                return 0
            self._direct = False
            data = data[taken:]
        transport.write(data)
        return transport.get_write_buffer_size()

    def close(self, last: bytes, code: int, reason: str) -> None:
        """Send the last frames and the close frame, then end the connection when the peer has, or after a little while."""
        self._end()
        if not self._transport.is_closing():
            self._transport.write(last + close_frame(code, reason))
            self._parts.closes.begin(self._transport, CLOSE_WAIT_S)

    def ping(self, frame: bytes) -> None:
        """Queue a ping."""
        self._connection.outbox.put(frame)

    def drop(self) -> None:
        """End the connection of a peer that does not answer; while an earlier message is worked on nobody may be listening."""
        if self._busy is None:
            self._transport.abort()

    # Bytes in (asyncio.Protocol).

    def data_received(self, data: bytes) -> None:
        """Read what came, unless an earlier message is still worked on."""
        self.heard = True
        self._reader.feed(data)
        if self._busy is None:
            self._read()
        elif self._reader.unread > MAX_HELD_BYTES:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the gateway that the peer is gone."""
        self._end()
        self._parts.gateway.lost(self._connection)

    def _end(self) -> None:
        self._ended = True
        self._parts.heartbeats.remove(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _read(self) -> None:
        """Handle whole messages until one must be waited for."""
        gateway, connection, read = self._parts.gateway, self._connection, self._reader.read
        try:
            while not self._ended and (message := read()) is not None:
                opcode, payload = message
                if opcode == ws.TEXT:
                    pending = gateway.receive(connection, payload)
                    if pending is not None:
                        self._busy = asyncio.get_running_loop().create_task(self._wait(pending))
                        return
                elif opcode == ws.PING:
                    connection.outbox.put(pong_frame(payload))
                elif opcode == ws.CLOSE:
                    ws.check_close(payload)
                    self._closed_by_peer()
                elif opcode == ws.BINARY:
                    gateway.receive_binary(connection)
        except ws.MessageTooBig:
            gateway.too_big(connection)
        except ws.MalformedFrame:
            gateway.malformed(connection)

    async def _wait(self, pending: Awaitable[None]) -> None:
        """Wait for a message to be handled, then go on with those behind it."""
        await pending
        self._busy = None
        self._read()
        if self._busy is None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _closed_by_peer(self) -> None:
        """Answer a close frame (RFC 6455 section 5.5.1), behind all that waits for the peer."""
        self._connection.outbox.flush()
        if self._ended:  # it was too slow for that
            return
        self._end()
        if not self._transport.is_closing():
            self._transport.write(close_frame(_NORMAL, ""))
            self._transport.close()
        self._parts.gateway.lost(self._connection)
