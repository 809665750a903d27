"""A session service with a defect: it attaches edges and answers a publish with something that is no answer to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import edge_stream_pb2_grpc, message_pb2

POSITION = message_pb2.Position(epoch="rogue", offset=0)


class RogueSession(edge_stream_pb2_grpc.EdgeStreamServiceServicer):
    """Serves on a free port of the loopback address, in the running event loop."""

    def __init__(self) -> None:
        self._server = grpc.aio.server()
        edge_stream_pb2_grpc.add_EdgeStreamServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    async def __aenter__(self) -> RogueSession:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)

    async def Attach(  # noqa: N802
        self, requests: AsyncIterator[pb.AttachRequest], context: Any
    ) -> AsyncIterator[pb.AttachResponse]:
        async for request in requests:
            yield pb.AttachResponse(events=_answers(request.commands))


def _answers(commands: Iterable[pb.Command]) -> list[pb.Event]:
    answers = {
        "hello": {"welcome": pb.Welcome(service_id="rogue")},
        "open_session": {"session_opened": pb.SessionOpened(broadcasts=POSITION, inbox=POSITION)},
        "join": {"joined": pb.Joined(position=POSITION, recovered=True)},
        "publish": {"left": pb.Left()},
    }
    events = []
    for command in commands:
        kind = command.WhichOneof("command") or ""
        if kind == "send_canary":
            events.append(pb.Event(canary_returned=pb.CanaryReturned(nonce=command.send_canary.nonce)))
        elif kind in answers:
            events.append(pb.Event(ref=command.ref, session=command.session, **answers[kind]))
    return events
