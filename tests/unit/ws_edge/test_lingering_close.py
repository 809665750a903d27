"""A connection that is ended by the edge: the peer reads what was said, then the end, over TLS too."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from service_runtime.tls_files import TlsFiles
from service_runtime.tls_http import reloading_context
from tests.support.authority import Authority, Identity
from ws_edge.adapters.lingering_close import LingeringCloses

LONG_S = 3600.0
DEADLINE_S = 10.0


class Goodbye(asyncio.Protocol):
    """Says one thing and ends."""

    def __init__(self, closes: LingeringCloses) -> None:
        self.closes = closes
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(b"goodbye")
        self.closes.begin(self._transport, LONG_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Authority().identity(tmp_path)


@pytest.mark.parametrize("secure", [False, True])
async def test_the_peer_reads_the_last_words_and_then_the_end(identity: Identity, secure: bool) -> None:
    made: list[Goodbye] = []
    closes = LingeringCloses()

    def protocol() -> Goodbye:
        made.append(Goodbye(closes))
        return made[-1]

    tls = reloading_context(TlsFiles(cert=identity.cert, key=identity.key)) if secure else None
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls)
    trusted = ssl.create_default_context(cafile=str(identity.ca)) if secure else None
    async with server, asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1], ssl=trusted)
        writer.write(b"hello")
        assert await reader.read() == b"goodbye"
        writer.close()
        await made[0].lost.wait()
        await closes.wait(LONG_S)
