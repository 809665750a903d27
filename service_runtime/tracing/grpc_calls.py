"""Traces over gRPC: the context goes in the metadata of calls, and each sampled call is a span on both sides.

Streams are none: the edge stream carries the context of each command in the command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

import grpc

from service_runtime.tracing.traceparent import HEADER, TraceParent, read_traceparent, unsampled
from service_runtime.tracing.tracing import Tracing
from service_runtime.tracing.work import Kind, current_work

GRPCS_OWN: Final = "/grpc."
"""Health checks and reflection: nobody follows them."""

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


def client_interceptors(tracing: Tracing | None) -> Sequence[grpc.aio.ClientInterceptor]:
    """Return what a channel needs for traces; nothing if there is nothing that traces."""
    return () if tracing is None else (TracedClientCalls(),)


def server_interceptors(tracing: Tracing | None) -> Sequence[grpc.aio.ServerInterceptor]:
    """Return what a server needs for traces; nothing if there is nothing that traces."""
    return () if tracing is None else (TracedServerCalls(tracing),)


class TracedServerCalls(grpc.aio.ServerInterceptor):
    """Makes a span of each unary call that is sampled: as its caller says, or by the ratio.

    Args:
        tracing: What traces.
    """

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing
        self._traced: dict[str, Handler] = {}

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Handler | None]], handler_call_details: Any
    ) -> Handler | None:
        """Return the method's handler, traced. A server's handlers do not change, so each is made once."""
        handler = await continuation(handler_call_details)
        path = handler_call_details.method
        if handler is None or handler.unary_unary is None or path.startswith(GRPCS_OWN):
            return handler
        traced = self._traced.get(path)
        if traced is None:
            traced = self._traced[path] = grpc.unary_unary_rpc_method_handler(
                self._trace(handler.unary_unary, path.removeprefix("/")),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        return traced

    def _trace(self, behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
        async def traced(request: Any, context: Any) -> Any:
            parent = _parent_of(context.invocation_metadata())
            if not self._tracing.sampler.wants(parent):
                return await behaviour(request, context)
            work = self._tracing.begin(method, Kind.SERVER, parent)
            with work.active():
                try:
                    return await behaviour(request, context)
                except BaseException as error:
                    work.error = type(error).__name__
                    raise
                finally:
                    work.done()

        return traced


class TracedClientCalls(grpc.aio.UnaryUnaryClientInterceptor):
    """Makes a span of each unary call of sampled work, and tells the server of it; of others, that they are not sampled."""

    async def intercept_unary_unary(
        self, continuation: Callable[[Any, Any], Awaitable[Any]], client_call_details: Any, request: Any
    ) -> Any:
        """Begin the call."""
        work = current_work()
        if work is None:
            return await continuation(_carrying(unsampled(), client_call_details), request)
        span = work.child(_name(client_call_details.method), Kind.CLIENT)
        call = await continuation(_carrying(span.parent, client_call_details), request)
        try:
            code = await call.code()
        except asyncio.CancelledError:
            call.cancel()
            span.end(grpc.StatusCode.CANCELLED.name)
            raise
        span.end("" if code is grpc.StatusCode.OK else code.name)
        return call


def _carrying(parent: TraceParent, details: Any) -> Any:
    """Return the details of a call with what it belongs to in its metadata."""
    return details._replace(metadata=grpc.aio.Metadata(*(details.metadata or ()), (HEADER, str(parent))))


def _name(method: str | bytes) -> str:
    return (method.decode() if isinstance(method, bytes) else method).removeprefix("/")


def _parent_of(metadata: Any) -> TraceParent | None:
    """Return what the caller says that its call belongs to."""
    values = [value for key, value in metadata or () if key == HEADER and isinstance(value, str)]
    return read_traceparent(values[0]) if len(values) == 1 else None
