"""Listens behind a proxy that passes bytes on, and takes from its PROXY header who the client is, also before TLS.

The invariant: only trusted proxies may say so. Their connections must begin with a header; those of others must not, and are
served as they come.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

from aiohttp import web

from service_runtime.http_listening import BACKLOG, HttpHandler
from service_runtime.listening import PortTakenError
from service_runtime.logs import get_logger
from service_runtime.tasks import end_tasks
from ws_edge.adapters.client_address import ClientAddresses
from ws_edge.core.proxy_header import ProxyHeaderError, missing_bytes, source_address

HEADER_TIMEOUT_S: Final = 5.0
# When the process has no descriptor left for one more connection.
_ACCEPT_AGAIN_S: Final = 0.1

log = get_logger("ws_edge.proxy_protocol")


class ProxiedHandler(HttpHandler):
    """Reads requests of a peer that is the client and not the proxy.

    Args:
        source: The address of the client.
        server: Whose requests it reads.
        logger: Of what goes wrong.
        keepalive_s: Seconds that a connection stays open without a request.
    """

    __slots__ = ("_source",)

    def __init__(self, source: str, server: web.Server, logger: logging.Logger, keepalive_s: float) -> None:
        super().__init__(server, logger, keepalive_s)
        self._source = source

    @property
    def peername(self) -> tuple[str, int]:
        """The address of the client; its port is not known."""
        return self._source, 0


class _ProxiedSite(web.BaseSite):
    """A site whose trusted peers begin with a PROXY header.

    Args:
        runner: Of the application.
        listening: Bound and listening.
        addresses: Who is trusted.
        make_handler: Makes the reader of requests that come from an address.
        tls: For what comes behind the header; None: plain text.
    """

    __slots__ = ("_accepting", "_addresses", "_listening", "_make_handler", "_taking")

    def __init__(
        self,
        runner: web.AppRunner,
        listening: socket.socket,
        addresses: ClientAddresses,
        make_handler: Callable[[str], asyncio.Protocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        super().__init__(runner, ssl_context=tls)
        self._listening = listening
        self._addresses = addresses
        self._make_handler = make_handler
        self._accepting: asyncio.Task[None] | None = None
        self._taking: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """For people."""
        host, port = self._listening.getsockname()[:2]
        return f"tcp://{host}:{port}"

    async def start(self) -> None:
        """Begin to accept."""
        await super().start()
        self._listening.setblocking(False)
        self._accepting = asyncio.create_task(self._accept())

    async def stop(self) -> None:
        """Accept nothing more; connections that were accepted go on."""
        if self._accepting is not None:
            await end_tasks(self._accepting, *self._taking)
        self._listening.close()
        await super().stop()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(self._listening)
            except OSError as problem:
                log.warning("cannot accept", error=str(problem))
                await asyncio.sleep(_ACCEPT_AGAIN_S)
                continue
            task = loop.create_task(self._take(connection, str(peer[0])))
            self._taking.add(task)
            task.add_done_callback(self._taking.discard)

    async def _take(self, connection: socket.socket, peer: str) -> None:
        """Read the header, and hand the connection over."""
        taken = False
        try:
            source = await self._source(connection, peer)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._make_handler(source), connection, ssl=self._ssl_context
            )
            taken = True
        except (ProxyHeaderError, TimeoutError) as problem:
            log.warning("a trusted proxy sent no PROXY header", peer=peer, error=str(problem) or "it took too long")
        except OSError:  # the peer is gone, or speaks no TLS
            pass
        finally:
            if not taken:
                connection.close()

    async def _source(self, connection: socket.socket, peer: str) -> str:
        if not self._addresses.trusts(peer):
            return peer
        loop, header = asyncio.get_running_loop(), b""
        async with asyncio.timeout(HEADER_TIMEOUT_S):
            while count := missing_bytes(header):
                data = await loop.sock_recv(connection, count)
                if not data:
                    raise ConnectionResetError
                header += data
        return source_address(header) or peer


async def listen_behind_proxy(
    runner: web.AppRunner,
    host: str,
    port: int,
    addresses: ClientAddresses,
    logger: logging.Logger,
    keepalive_s: float,
    tls: ssl.SSLContext | None = None,
    *,
    shared: bool = False,
) -> int:
    """Listen for connections that begin with a PROXY header; for the rest see `http_listening.listen`.

    Args:
        runner: Of the application.
        host: On which address.
        port: Where; 0: any free port.
        addresses: Who is a trusted proxy.
        logger: Of what goes wrong.
        keepalive_s: Seconds that a connection stays open without a request.
        tls: Of what comes behind the header; None: plain text.
        shared: Other processes listen on the port too.

    Returns:
        The port.

    Raises:
        PortTakenError: It cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shared)
    except OSError:
        raise PortTakenError(host, port) from None
    server = runner.server
    assert server is not None, "the runner is set up"
    await _ProxiedSite(
        runner, listening, addresses, lambda source: ProxiedHandler(source, server, logger, keepalive_s), tls
    ).start()
    return int(listening.getsockname()[1])
