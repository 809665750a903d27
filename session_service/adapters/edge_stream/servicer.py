"""`EdgeStreamService.Attach`: one stream for each edge, commands in, events out, as many to a message as a tick gathers.

Responses are written as bytes: an event is encoded once for all edges it goes to (`grpc_codec.framed`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from time import perf_counter
from typing import Any, Final

import grpc
from tidewire.session.v1 import edge_stream_pb2 as pb

from service_runtime.logs import get_logger
from session_service.adapters import grpc_codec as codec
from session_service.adapters.edge_stream.commands import EdgeCommands
from session_service.adapters.edge_stream.outbox import EdgeOutbox
from session_service.adapters.grpc_caller import Callers
from session_service.adapters.grpc_errors import abort_with
from session_service.adapters.live_channels import LiveChannels
from session_service.adapters.metrics_prometheus import StreamMetrics
from session_service.core.errors import InvalidField, LimitExceeded, ServiceDraining, SessionError
from session_service.core.topic import check_name

log = get_logger("session_service.edge_stream")

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["EdgeStreamService"].full_name
Context = grpc.aio.ServicerContext[pb.AttachRequest, bytes]
CommandsOf = Callable[[Any, EdgeOutbox], EdgeCommands]


class EdgeStreamServicer:
    """Attaches edges.

    Args:
        callers: Lets edges in.
        live: What they live on.
        commands_of: Makes the executor of one attached edge's commands.
        metrics: Counters.
        service_id: Told to edges, for logs.
        max_outbox_bytes: What may wait for one edge; over it the edge is cut off, and attaches anew.
        max_edges: Edges attached at once.
    """

    def __init__(
        self,
        callers: Callers,
        live: LiveChannels,
        commands_of: CommandsOf,
        metrics: StreamMetrics,
        *,
        service_id: str,
        max_outbox_bytes: int,
        max_edges: int,
    ) -> None:
        self._callers = callers
        self._live = live
        self._commands_of = commands_of
        self._metrics = metrics
        self._service_id = service_id
        self._max_outbox_bytes = max_outbox_bytes
        self._max_edges = max_edges
        self._outboxes: dict[str, EdgeOutbox] = {}
        self._draining = False
        metrics.outbox_bytes.set_function(self._waiting_bytes)

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler of the service, whose responses are bytes already."""
        attach: grpc.RpcMethodHandler[pb.AttachRequest, bytes] = grpc.stream_stream_rpc_method_handler(
            self.attach, request_deserializer=pb.AttachRequest.FromString, response_serializer=None
        )
        return grpc.method_handlers_generic_handler(SERVICE_NAME, {"Attach": attach})

    def _waiting_bytes(self) -> int:
        """Runs in the exporter's thread."""
        return sum(outbox.waiting_bytes for outbox in list(self._outboxes.values()))

    def stream_of(self, edge_id: str) -> EdgeOutbox | None:
        """Return what waits for an edge that is attached."""
        return self._outboxes.get(edge_id)

    def drain(self) -> None:
        """Tell edges to attach elsewhere, write what waits for them, and end their streams."""
        self._draining = True
        for outbox in self._outboxes.values():
            outbox.push(codec.framed(pb.Event(draining=pb.Draining())))
            outbox.close()

    async def attach(self, requests: AsyncIterator[pb.AttachRequest], context: Context) -> None:
        """Serve one edge until either side ends the stream."""
        try:
            self._callers.admit_service(context)
            await self._serve(requests, context)
        except SessionError as error:
            await abort_with(context, error)

    async def _serve(self, requests: AsyncIterator[pb.AttachRequest], context: Context) -> None:
        first = await anext(requests, None)
        edge_id, ref = self._greeting(first)
        outbox = EdgeOutbox(self._max_outbox_bytes)
        earlier = self._outboxes.get(edge_id)
        if earlier is not None:
            earlier.close()
        self._outboxes[edge_id] = outbox
        edge = self._live.attach(edge_id, outbox)
        self._metrics.edges.set(len(self._outboxes))
        log.info("edge attached", edge_id=edge_id)
        commands = self._commands_of(edge, outbox)
        outbox.push(codec.framed(pb.Event(ref=ref, welcome=pb.Welcome(service_id=self._service_id))))
        reader = asyncio.get_running_loop().create_task(self._read(first, requests, commands, outbox))
        try:
            await self._write(outbox, context)
        finally:
            reader.cancel()
            outbox.close()
            commands.close()
            self._live.detach(edge, outbox)
            if self._outboxes.get(edge_id) is outbox:
                del self._outboxes[edge_id]
            self._metrics.edges.set(len(self._outboxes))
            log.info("edge detached", edge_id=edge_id, overflowed=outbox.overflowed)
            if outbox.overflowed:  # also where the connection ended first, for the edge answered nothing any more
                self._metrics.cut_off.inc()
            await asyncio.gather(reader, return_exceptions=True)
        if outbox.overflowed:
            raise LimitExceeded("the edge does not read what is sent to it")

    def _greeting(self, first: pb.AttachRequest | None) -> tuple[str, int]:
        """Return the edge's id and the ref of its greeting, which must come first."""
        if self._draining:
            raise ServiceDraining
        if first is None or not first.commands or not first.commands[0].HasField("hello"):
            raise InvalidField("commands", "the first one must be hello")
        edge_id = first.commands[0].hello.edge_id
        check_name("hello.edge_id", edge_id)
        if len(self._outboxes) >= self._max_edges and edge_id not in self._outboxes:
            raise LimitExceeded(f"{self._max_edges} edges are attached")
        return edge_id, first.commands[0].ref

    async def _read(
        self,
        first: pb.AttachRequest | None,
        requests: AsyncIterator[pb.AttachRequest],
        commands: EdgeCommands,
        outbox: EdgeOutbox,
    ) -> None:
        """Carry out commands until the edge ends the stream, or attaches by another."""
        try:
            if first is not None:
                self._execute(first.commands[1:], commands)
            async for request in requests:
                if outbox.closed or outbox.overflowed:
                    return
                self._execute(request.commands, commands)
        finally:
            outbox.close()

    def _execute(self, batch: Any, commands: EdgeCommands) -> None:
        self._metrics.commands.inc(len(batch))
        self._metrics.batch_size.observe(len(batch))
        for command in batch:
            commands.execute(command)

    async def _write(self, outbox: EdgeOutbox, context: Context) -> None:
        while bodies := await outbox.take():
            began_s = perf_counter()
            for body in bodies:
                await context.write(body)
            self._metrics.write_seconds.observe(perf_counter() - began_s)
