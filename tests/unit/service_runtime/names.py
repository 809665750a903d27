"""A name server that knows one name with several addresses (RFC 1035)."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

TYPE_A = 1
TTL_S = 60


class _NameServer(asyncio.DatagramProtocol):
    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        end = data.index(b"\0", 12) + 5  # behind the name: type and class
        question = data[12:end]
        wanted = struct.unpack(">H", data[end - 4 : end - 2])[0]
        found = self._addresses if wanted == TYPE_A else ()
        head = data[:2] + struct.pack(">HHHHH", 0x8180, 1, len(found), 0, 0)
        # Each answer points at the name in the question.
        answers = [struct.pack(">HHHIH", 0xC00C, TYPE_A, 1, TTL_S, 4) + socket.inet_aton(one) for one in found]
        self._transport.sendto(head + question + b"".join(answers), addr)


@asynccontextmanager
async def naming(*addresses: str) -> AsyncIterator[str]:
    """Serve names on a free port: every name has these addresses; yields where it listens."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _NameServer(addresses), local_addr=("127.0.0.1", 0))
    try:
        host, port = transport.get_extra_info("sockname")
        yield f"{host}:{port}"
    finally:
        transport.close()
