"""A connection to an edge, byte by byte: what no WebSocket library would send."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.target import Target
from tests.support.websocket_frames import read_frame

DEADLINE_S = 20.0
TEXT, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x0, 0x8, 0x9, 0xA
KEY = base64.b64encode(bytes(range(16))).decode()
HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


class Raw:
    """A connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> tuple[int, dict[str, str]]:
        """Return status and headers of the answer."""
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = (line.partition(": ") for line in lines if line)
        return int(first.split()[1]), {name.lower(): value for name, _, value in headers}

    async def frame(self) -> dict[str, Any]:
        opcode, payload = await read_frame(self.reader)
        assert opcode == TEXT
        return dict(json.loads(payload))


@asynccontextmanager
async def raw(
    target: Target, headers: dict[str, str], behind: bytes = b"", version: str = "1.1", path: str = "/client_raw"
) -> AsyncIterator[Raw]:
    """Send a request, and what comes at once behind it."""
    host, port = target.http_url.removeprefix("http://").split(":")
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(host, int(port))
        lines = [f"GET {path} HTTP/{version}", f"Host: {host}", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode() + behind)
        try:
            yield Raw(reader, writer)
        finally:
            writer.close()
