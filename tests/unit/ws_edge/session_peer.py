"""Session services that do as they are told: they attach edges, store messages, refuse, drain, hang."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import edge_stream_pb2_grpc, message_pb2

from service_runtime.grpc_server import GrpcServer
from service_runtime.settings import ServiceSettings


class SessionPeer(edge_stream_pb2_grpc.EdgeStreamServiceServicer):
    """Serves on a free port of the loopback address, with health checks as the real one.

    Args:
        name: Its service id.
        port: Where to listen; 0: any free one.
    """

    def __init__(self, name: str, port: int = 0) -> None:
        self.name = name
        self.commands: list[pb.Command] = []
        self.attached = 0
        self.greets = True
        self.refuses = False
        self.answers = True
        self.came = asyncio.Event()
        self._port = port
        self._streams: list[asyncio.Queue[list[pb.Event] | None]] = []
        self.server = GrpcServer(ServiceSettings(), host="127.0.0.1", port=port)
        edge_stream_pb2_grpc.add_EdgeStreamServiceServicer_to_server(self, self.server.server)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> SessionPeer:
        self._port = await self.server.start([])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop(0)

    def named(self, kind: str) -> list[pb.Command]:
        """Return the commands of a kind that came."""
        return [command for command in self.commands if command.WhichOneof("command") == kind]

    async def drain(self) -> None:
        """Do as a session service that stops: not serving, then the word, then the end of the streams."""
        await self.server.set_serving(False)
        self.tell(pb.Event(draining=pb.Draining()))
        self.refuses = True

    def tell(self, *events: pb.Event) -> None:
        for stream in self._streams:
            stream.put_nowait(list(events))

    def end_streams(self) -> None:
        for stream in self._streams:
            stream.put_nowait(None)

    async def Attach(  # noqa: N802
        self, requests: AsyncIterator[pb.AttachRequest], context: Any
    ) -> AsyncIterator[pb.AttachResponse]:
        self.attached += 1
        if self.refuses:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "about to stop")
        stream: asyncio.Queue[list[pb.Event] | None] = asyncio.Queue()
        self._streams.append(stream)
        reader = asyncio.create_task(self._read(requests, stream))
        try:
            while (events := await stream.get()) is not None:
                yield pb.AttachResponse(events=events)
        finally:
            reader.cancel()
            self._streams.remove(stream)

    async def _read(
        self, requests: AsyncIterator[pb.AttachRequest], stream: asyncio.Queue[list[pb.Event] | None]
    ) -> None:
        async for request in requests:
            self.commands += request.commands
            self.came.set()
            stream.put_nowait([event for command in request.commands for event in self._answers(command)])

    def _answers(self, command: pb.Command) -> list[pb.Event]:
        kind = command.WhichOneof("command")
        if kind == "hello" and self.greets:
            return [pb.Event(welcome=pb.Welcome(service_id=self.name))]
        if kind == "publish" and self.answers:
            position = message_pb2.Position(epoch="e", offset=1)
            return [pb.Event(ref=command.ref, published=pb.Published(id=command.publish.id, position=position))]
        return []
