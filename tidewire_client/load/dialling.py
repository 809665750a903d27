"""How a connection to an edge comes about: to one of its addresses, over TLS where the URL says so."""

from __future__ import annotations

import asyncio
import socket
from typing import Final
from urllib.parse import urlsplit

from tidewire_client.errors import ConnectionLost
from tidewire_client.load.connection import EdgeSocket
from tidewire_client.load.environment import Environment

# Small enough that who does not read is noticed soon; large enough that who reads is not slow.
SMALL_BUFFER_BYTES: Final = 65_536


async def dial(env: Environment, protocol: EdgeSocket, *, small_buffer: bool) -> None:
    """Connect to the next of the edge's addresses.

    Args:
        env: Knows the addresses.
        protocol: Of the connection.
        small_buffer: The socket takes in little.

    Raises:
        OSError: It cannot be connected; `ssl.SSLError` is one.
    """
    loop = asyncio.get_running_loop()
    address, port = next(env.addresses), env.target.port
    server_hostname = env.host if env.tls is not None else None
    if not small_buffer:
        await loop.create_connection(lambda: protocol, address, port, ssl=env.tls, server_hostname=server_hostname)
        return
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        await loop.sock_connect(connecting, (address, port))
        await loop.create_connection(lambda: protocol, sock=connecting, ssl=env.tls, server_hostname=server_hostname)
    except BaseException:
        connecting.close()
        raise


def resolve(url: str) -> tuple[tuple[str, ...], int]:
    """Return the addresses and the port of a URL.

    Raises:
        ConnectionLost: The host is not known.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError:
        raise ConnectionLost(f"the host of {url} is not known") from None
    # Of a name with addresses of both families only those of the first: not every service listens on both.
    family = found[0][0]
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found if entry[0] == family)), port
