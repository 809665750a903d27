"""A proxy before a Redis that can make those deaf who listen to it."""

from __future__ import annotations

import asyncio


class SilentProxy:
    """Stands before the server, and, when told to, keeps connections open on which nothing arrives any more."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._published: list[asyncio.Event] = []
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def silence_subscribers(self) -> int:
        """Let nothing more through to those who listen; return how many these are."""
        silenced = len(self._published)
        for event in self._published:
            event.set()
        self._published.clear()
        return silenced

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        silent = asyncio.Event()
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pump(source, sink, silent))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, silent: asyncio.Event) -> None:
        try:
            while data := await source.read(65_536):
                if b"SUBSCRIBE" in data and silent not in self._published:
                    self._published.append(silent)
                if not silent.is_set():
                    sink.write(data)
        except OSError:
            pass
        finally:
            sink.close()
