"""A proxy before an edge that does wrong to some messages: swallows one, doubles one, or lets the next one pass first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import Enum

from tests.support.websocket_frames import read_frame


class Fault(Enum):
    """What is done to the message."""

    SWALLOW = "it never arrives"
    DOUBLE = "it arrives twice"
    SWAP = "it arrives after the one behind it"
    NONE = "nothing"


class MessageProxy:
    """Serves on a free port of the loopback address, in the running event loop.

    Args:
        target: `host:port` of the edge.
        marks: What a message has in it that counts, over all connections, from 1.
        faults: What is done to which of these.
    """

    def __init__(self, target: str, marks: tuple[bytes, ...], faults: Mapping[int, Fault]) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._marks = marks
        self._faults = dict(faults)
        self._count = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""

    @property
    def done(self) -> bool:
        """Every fault has happened."""
        return self._count >= max(self._faults)

    async def __aenter__(self) -> MessageProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        for work in (self._pump(reader, back), self._frames(there, writer)):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                sink.write(data)
        except OSError:
            pass
        finally:
            sink.close()

    async def _frames(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Pass the handshake on, and then frame by frame."""
        kept = b""
        try:
            sink.write(await source.readuntil(b"\r\n\r\n"))
            while True:
                opcode, payload = await read_frame(source)
                counts = all(mark in payload for mark in self._marks)
                self._count += counts
                frame = _server_frame(opcode, payload)
                fault = self._faults.get(self._count, Fault.NONE) if counts else Fault.NONE
                if fault is Fault.SWAP:
                    kept = frame
                    continue
                if fault is not Fault.SWALLOW:
                    sink.write(frame)
                if fault is Fault.DOUBLE:
                    sink.write(frame)
                # What was kept comes behind the next message of its kind.
                if kept and counts:
                    sink.write(kept)
                    kept = b""
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            sink.close()


def _server_frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    head = bytes([0x80 | opcode, size]) if size < 126 else bytes([0x80 | opcode, 126]) + size.to_bytes(2, "big")
    return head + payload
