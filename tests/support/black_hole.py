"""A peer that accepts connections, reads what comes, and never answers."""

from __future__ import annotations

import asyncio


class BlackHole:
    """Listens on a free port of the loopback address.

    Attributes:
        accepted: Connections so far.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> BlackHole:
        self._server = await asyncio.start_server(self._swallow, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _swallow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._open.add(writer)
        try:
            while await reader.read(65_536):
                pass
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            writer.close()
