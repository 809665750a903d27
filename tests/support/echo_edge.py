"""An edge's own WebSocket layer under a gateway that echoes whatever text comes: for test suites that know no Tidewire.

    python -m tests.support.echo_edge      prints the port, and serves until it is ended

Handshake, reader, socket and outbox are the product's (`ws_edge/adapters/http_websocket.py` and what is below it). Only what
decides about messages is another: no key, no JSON, and refusals by the codes of RFC 6455 section 7.4.1. Binary messages are
refused, as an edge does.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from ws_edge.adapters.client_address import ClientAddresses
from ws_edge.adapters.client_socket import SocketParts
from ws_edge.adapters.heartbeats import Heartbeats
from ws_edge.adapters.http_origin import OriginPolicy
from ws_edge.adapters.http_websocket import WebSocketEndpoint
from ws_edge.adapters.lingering_close import LingeringCloses
from ws_edge.core.outbox import Outbox, OutboxFlusher
from ws_edge.core.ports import ByteSink
from ws_edge.core.stats import EdgeStats
from ws_edge.core.websocket_frame import text_frame

MAX_BYTES: Final = 32 << 20
PROTOCOL_ERROR, UNSUPPORTED, NOT_UTF8, TOO_BIG, TOO_SLOW = 1002, 1003, 1007, 1009, 1013


@dataclass
class Peer:
    """One connection."""

    outbox: Outbox


class EchoGateway:
    """Takes the place of `ws_edge.core.gateway.Gateway`."""

    leaving = False

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._peers: dict[int, Peer] = {}
        self._flusher = OutboxFlusher(asyncio.get_running_loop().call_soon, self._slow, EdgeStats())

    def accept(self, client_id: str, sink: ByteSink, **_: Any) -> Peer:
        number = next(self._numbers)
        peer = self._peers[number] = Peer(Outbox(number, sink, MAX_BYTES, self._flusher))
        return peer

    def receive(self, peer: Peer, text: bytes) -> None:
        try:
            text.decode()
        except UnicodeDecodeError:
            self._end(peer, NOT_UTF8)
        else:
            peer.outbox.put(text_frame(text))

    def receive_binary(self, peer: Peer) -> None:
        self._end(peer, UNSUPPORTED)

    def malformed(self, peer: Peer) -> None:
        self._end(peer, PROTOCOL_ERROR)

    def too_big(self, peer: Peer) -> None:
        self._end(peer, TOO_BIG)

    def lost(self, peer: Peer) -> None:
        peer.outbox.abandon()

    def authentication_deadline(self, peer: Peer) -> None:
        """Nobody has to show a key."""

    def _slow(self, number: int) -> None:
        self._end(self._peers[number], TOO_SLOW)

    @staticmethod
    def _end(peer: Peer, code: int) -> None:
        peer.outbox.close(b"", code, "")


async def serve(port: int = 0) -> tuple[web.AppRunner, int]:
    """Begin to serve `/client_NAME`; return what is to be cleaned up, and the port."""
    gateway: Any = EchoGateway()
    parts = SocketParts(gateway, Heartbeats(60.0), LingeringCloses(), max_frame_bytes=MAX_BYTES, auth_timeout_s=3600.0)
    endpoint = WebSocketEndpoint(parts, OriginPolicy([]), ClientAddresses([]))
    application = web.Application()
    application.router.add_get("/client_{client_id}", endpoint.plain, allow_head=False)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner, int(runner.addresses[0][1])


async def main() -> None:
    """Serve for ever."""
    _, port = await serve()
    print(port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
