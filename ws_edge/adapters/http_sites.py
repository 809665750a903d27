"""The ports of the edge: the public one, behind any kind of proxy, and the one for metrics and health."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Final

from aiohttp import web

from service_runtime.listening import PortTakenError
from ws_edge.adapters.client_address import ClientAddresses
from ws_edge.adapters.proxy_protocol import ProxiedHandler, ProxiedSite

BACKLOG: Final = 4096


async def listen(
    runner: web.AppRunner, host: str, port: int, tls: ssl.SSLContext | None = None, *, shared: bool = False
) -> int:
    """Listen for clients that come by themselves, or through a proxy that reads HTTP.

    Args:
        runner: Of the application.
        host: On which address.
        port: Where; 0: any free port.
        tls: Of the port; None: plain text.
        shared: Other processes listen on the port too (SO_REUSEPORT), and the kernel spreads connections over them.

    Returns:
        The port.

    Raises:
        PortTakenError: It cannot listen there.
    """
    site = web.TCPSite(runner, host, port, backlog=BACKLOG, ssl_context=tls, reuse_port=shared or None)
    try:
        await site.start()
    except OSError:
        raise PortTakenError(host, port) from None
    return site.port


async def listen_behind_proxy(
    runner: web.AppRunner,
    host: str,
    port: int,
    addresses: ClientAddresses,
    make_handler: Callable[[str], ProxiedHandler],
    tls: ssl.SSLContext | None = None,
    *,
    shared: bool = False,
) -> int:
    """Listen for connections that begin with a PROXY header; for the rest see `listen`.

    Args:
        runner: Of the application.
        host: On which address.
        port: Where; 0: any free port.
        addresses: Who is a trusted proxy.
        make_handler: Makes the reader of requests that come from an address.
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
    await ProxiedSite(runner, listening, addresses, make_handler, tls).start()
    return int(listening.getsockname()[1])
