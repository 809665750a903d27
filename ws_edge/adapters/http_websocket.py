"""`GET /client_{client_id}`: who may open a WebSocket, and its first moments; all further life is in `client_socket`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from service_runtime.tracing.traceparent import HEADER, TraceParent, read_traceparent
from ws_edge.adapters.client_address import ClientAddresses
from ws_edge.adapters.client_socket import ClientSocket, SocketParts
from ws_edge.adapters.http_origin import OriginPolicy
from ws_edge.adapters.http_upgrade import TakenOver, take_over, upgrade_answer
from ws_edge.core.connection import Connection
from ws_edge.core.names import is_name

# A balancer that asks the next edge after a 503 says so by this header. One that does not passes the client on, who is told to
# come again by a `disconnect` frame: a browser shows no status of a refused upgrade.
NEXT_UPSTREAM: Final = "Tidewire-Next-Upstream"
Adopt = Callable[[Connection, TraceParent], None]


class WebSocketEndpoint:
    """`GET /client_{client_id}` and `GET /debug/client_{client_id}`.

    Args:
        parts: What sockets share.
        origins: Which pages may connect.
        addresses: Where clients come from.
        adopt: Told of connections whose handshake names a trace, and which; None: nothing is traced.
    """

    def __init__(
        self, parts: SocketParts, origins: OriginPolicy, addresses: ClientAddresses, adopt: Adopt | None = None
    ) -> None:
        self._adopt = adopt
        self._parts = parts
        self._origins = origins
        self._addresses = addresses

    async def plain(self, request: web.Request) -> web.StreamResponse:
        """Serve the endpoint of applications."""
        return self._serve(request, debug=False)

    async def debug(self, request: web.Request) -> web.StreamResponse:
        """Serve the endpoint of tests and tools, which echoes."""
        return self._serve(request, debug=True)

    def _serve(self, request: web.Request, *, debug: bool) -> web.StreamResponse:
        client_id = request.match_info["client_id"]
        if not is_name(client_id):
            return _refused(400, "client_id must be 1 to 64 of A-Z a-z 0-9 _ -")
        if not self._origins.allows(request):
            return _refused(403, "Origin is not allowed")
        if self._parts.gateway.leaving and NEXT_UPSTREAM in request.headers:
            return _refused(503, "Edge is draining")
        answer = upgrade_answer(request)
        if answer is None:
            return _refused(426, "A WebSocket upgrade is expected here", {"Upgrade": "websocket"})
        address = self._addresses.of(request)
        taken = take_over(request)
        if taken is not None:
            transport, early = taken
            socket = ClientSocket(self._parts, transport)
            transport.write(answer)
            connection = self._parts.gateway.accept(client_id, socket, debug=debug, client_address=address)
            if self._adopt is not None:
                parent = read_traceparent(request.headers.get(HEADER))
                if parent is not None:
                    self._adopt(connection, parent)
            socket.start(connection, early)
        return TakenOver()


def _refused(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response(
        {"error": {"message": message, "error_type": "invalid_request", "code": status}},
        status=status,
        headers=headers,
    )
