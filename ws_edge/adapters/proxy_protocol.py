"""Listens behind a proxy that passes bytes on, and takes from its PROXY header who the client is, also before TLS.

The invariant: only trusted proxies may say so. Their connections must begin with a header; those of others must not, and are
served as they come.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import Final

from aiohttp import web

from service_runtime.http_listening import HttpHandler, listen_with, server_of
from service_runtime.logs import get_logger
from ws_edge.adapters.client_address import ClientAddresses
from ws_edge.core.proxy_header import ProxyHeaderError, missing_bytes, source_address

HEADER_TIMEOUT_S: Final = 5.0

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


async def client_of(connection: socket.socket, peer: str, addresses: ClientAddresses) -> str | None:
    """Return the address of the client at the other end of a connection; None: a trusted proxy did not say it.

    Args:
        connection: Nothing of it was read.
        peer: The address of its other end.
        addresses: Who is a trusted proxy.

    Raises:
        OSError: The peer is gone.
    """
    if not addresses.trusts(peer):
        return peer
    try:
        return await _told(connection) or peer
    except (ProxyHeaderError, TimeoutError) as problem:
        log.warning("a trusted proxy sent no PROXY header", peer=peer, error=str(problem) or "it took too long")
        return None


async def _told(connection: socket.socket) -> str | None:
    """Read the header, and return the address in it; None: there is none."""
    loop, header = asyncio.get_running_loop(), b""
    async with asyncio.timeout(HEADER_TIMEOUT_S):
        while count := missing_bytes(header):
            data = await loop.sock_recv(connection, count)
            if not data:
                raise ConnectionResetError
            header += data
    return source_address(header)


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
    server = server_of(runner)

    async def reader(connection: socket.socket, peer: str) -> HttpHandler | None:
        client = await client_of(connection, peer, addresses)
        return None if client is None else ProxiedHandler(client, server, logger, keepalive_s)

    return await listen_with(reader, runner, host, port, tls=tls, shared=shared)
