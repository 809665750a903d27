"""One edge at a session service: what it sends, and every event that comes back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

from tidewire.session.v1 import edge_stream_pb2 as pb

from tests.fuzz.worlds.grpc_call import CallContext, Ended
from tests.fuzz.worlds.session import SessionWorld


class _Stream(CallContext):
    """The call of an edge: tells when something was written."""

    def __init__(self, arrived: asyncio.Event, *, with_token: bool) -> None:
        super().__init__(with_token=with_token)
        self._arrived = arrived

    async def write(self, body: bytes) -> None:
        await super().write(body)
        self._arrived.set()


class FuzzedEdge:
    """Attaches at once.

    Args:
        world: The session service.
        with_token: It shows the service token.
    """

    def __init__(self, world: SessionWorld, *, with_token: bool = True) -> None:
        self._arrived = asyncio.Event()
        self._requests: asyncio.Queue[pb.AttachRequest | None] = asyncio.Queue()
        self._context = _Stream(self._arrived, with_token=with_token)
        context: Any = self._context
        self._call = asyncio.create_task(world.edges.attach(self._sent(), context))
        self._call.add_done_callback(lambda _: self._arrived.set())

    async def _sent(self) -> AsyncIterator[pb.AttachRequest]:
        while (request := await self._requests.get()) is not None:
            yield request

    def send(self, request: pb.AttachRequest) -> None:
        self._requests.put_nowait(request)

    @property
    def events(self) -> list[pb.Event]:
        """Everything that came."""
        return [event for body in self._context.written for event in pb.AttachResponse.FromString(body).events]

    async def answered(self, wanted: Counter[int]) -> None:
        """Return when each ref was answered as often as it was sent, or the stream is over."""
        await self._until(lambda: not wanted - Counter(event.ref for event in self.events))

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition() and not self._call.done():
            self._arrived.clear()
            await self._arrived.wait()

    async def end(self) -> Ended | None:
        """End the stream; return the status, if it was not ended in order."""
        self._requests.put_nowait(None)
        try:
            await self._call
        except Ended as ended:
            return ended
        return None
