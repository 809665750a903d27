"""WebSocket connections over aiohttp: the upgrade, the bytes in, and the bytes out.

Data frames are written to the transport directly, beside aiohttp's own writer, which sends only pings, pongs, and the answer
to a close frame of the peer. Both end in the same transport, so their order is the order of the calls; after the edge's own
close frame nothing is written (`Outbox.close`, `LingeringClose`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from service_runtime.logs import get_logger
from ws_edge.adapters.client_address import ClientAddresses
from ws_edge.adapters.http_origin import OriginPolicy
from ws_edge.adapters.lingering_close import LingeringClose
from ws_edge.core.connection import Connection
from ws_edge.core.gateway import Gateway
from ws_edge.core.names import is_name
from ws_edge.core.websocket_frame import close_frame

log = get_logger("ws_edge.websocket")

CLOSE_WAIT_S = 5.0


class EdgeWebSocket(web.WebSocketResponse):
    """A WebSocket whose owner ends it: aiohttp reads frames and answers pings and the peer's own close frame.

    Args:
        heartbeat_s: A ping this often, in seconds; a peer that does not answer is dropped.
        max_frame_bytes: A larger message is refused.
    """

    def __init__(self, *, heartbeat_s: float, max_frame_bytes: int) -> None:
        # One byte more than allowed: aiohttp refuses a message that reaches its bound.
        super().__init__(
            heartbeat=heartbeat_s,
            max_msg_size=max_frame_bytes + 1,
            autoping=True,
            compress=False,
            decode_text=False,
            timeout=CLOSE_WAIT_S,
        )
        self.on_fault: Callable[[int], None] = lambda code: None
        self.ended_by_owner = False

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        """Close; for a fault that aiohttp found in what the peer sent, the owner does it."""
        if code in (WSCloseCode.MESSAGE_TOO_BIG, WSCloseCode.PROTOCOL_ERROR, WSCloseCode.INVALID_TEXT):
            self.on_fault(code)
        return False if self.ended_by_owner else await super().close(code=code, message=message, drain=drain)


class TransportSink:
    """Implements `ws_edge.core.ports.ByteSink` over the transport of a WebSocket."""

    __slots__ = ("_end", "_socket", "_transport")

    def __init__(self, socket: EdgeWebSocket, transport: asyncio.Transport) -> None:
        self._socket = socket
        self._transport = transport
        self._end: LingeringClose | None = None

    def write(self, data: bytes) -> None:
        """Write without waiting; a transport that is closing ignores it."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def unsent_bytes(self) -> int:
        """Return what the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    def close(self, last: bytes, code: int, reason: str) -> None:
        """Send the last frames and the close frame, then end the connection when the peer has, or after a little while."""
        self._socket.ended_by_owner = True
        if not self._transport.is_closing():
            self._transport.write(last + close_frame(code, reason))
            self._end = LingeringClose(self._transport, CLOSE_WAIT_S)

    async def closed(self) -> None:
        """Wait until a close that was begun is done."""
        if self._end is not None:
            await self._end.done.wait()


class WebSocketEndpoint:
    """`GET /client_{client_id}` and `GET /debug/client_{client_id}`.

    Args:
        gateway: Where connections go.
        origins: Which pages may connect.
        heartbeat_s: Seconds between pings.
        auth_timeout_s: Seconds in which `connect` must come.
        max_frame_bytes: The largest message.
    """

    def __init__(
        self,
        gateway: Gateway,
        origins: OriginPolicy,
        addresses: ClientAddresses,
        *,
        heartbeat_s: float,
        auth_timeout_s: float,
        max_frame_bytes: int,
    ) -> None:
        self._gateway = gateway
        self._origins = origins
        self._addresses = addresses
        self._heartbeat_s = heartbeat_s
        self._auth_timeout_s = auth_timeout_s
        self._max_frame_bytes = max_frame_bytes

    async def plain(self, request: web.Request) -> web.StreamResponse:
        """Serve the endpoint of applications."""
        return await self._serve(request, debug=False)

    async def debug(self, request: web.Request) -> web.StreamResponse:
        """Serve the endpoint of tests and tools, which echoes."""
        return await self._serve(request, debug=True)

    async def _serve(self, request: web.Request, *, debug: bool) -> web.StreamResponse:
        client_id = request.match_info["client_id"]
        if not is_name(client_id):
            return _refused(400, "client_id must be 1 to 64 of A-Z a-z 0-9 _ -")
        if not self._origins.allows(request):
            return _refused(403, "Origin is not allowed")
        socket = EdgeWebSocket(heartbeat_s=self._heartbeat_s, max_frame_bytes=self._max_frame_bytes)
        if not socket.can_prepare(request).ok:
            return _refused(426, "A WebSocket upgrade is expected here", {"Upgrade": "websocket"})
        await socket.prepare(request)
        # uvloop's transports are no subclasses of asyncio's, so the type is not asked for.
        transport = request.transport
        if transport is None:
            return socket
        sink = TransportSink(socket, transport)
        connection = self._gateway.accept(client_id, sink, debug=debug, client_address=self._addresses.of(request))
        socket.on_fault = lambda code: self._fault(connection, code)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._auth_timeout_s, self._gateway.authentication_deadline, connection)
        try:
            await self._read(socket, connection)
        finally:
            timer.cancel()
            self._gateway.lost(connection)
            await sink.closed()
        return socket

    async def _read(self, socket: EdgeWebSocket, connection: Connection) -> None:
        receive: Callable[[], Awaitable[Any]] = socket.receive
        handle = self._gateway.receive
        while True:
            message = await receive()
            kind = message.type
            if kind is WSMsgType.TEXT:
                pending = handle(connection, message.data)
                if pending is not None:
                    await pending
            elif kind is WSMsgType.BINARY:
                self._gateway.receive_binary(connection)
            else:
                return

    def _fault(self, connection: Connection, code: int) -> None:
        """End the connection of a peer whose frames aiohttp refuses."""
        if code == WSCloseCode.MESSAGE_TOO_BIG:
            self._gateway.too_big(connection)
        else:
            self._gateway.malformed(connection)


def _refused(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response(
        {"error": {"message": message, "error_type": "invalid_request", "code": status}},
        status=status,
        headers=headers,
    )
