"""How the calls of a gRPC server end, and how long they take, by method.

Calls that stream have no duration that means anything: they are counted when they end.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from time import perf_counter
from typing import Any, Final, TypeAlias

import grpc
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from service_runtime.metrics import SECONDS, Distribution

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Behaviour: TypeAlias = Callable[[Any, Context], Awaitable[Any]]

UNKNOWN_METHOD: Final = "unknown"
"""Stands for all methods that the server does not have: callers must not be able to make labels."""
_KINDS: Final = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
_NAMES: Final = {code.value[0]: code.name for code in grpc.StatusCode}


class RpcMetrics(grpc.aio.ServerInterceptor, Collector):
    """An interceptor that counts and times; for the thread of the event loop. Handlers are coroutines or async generators.

    Args:
        prefix: Of the metrics: `<prefix>_rpcs_total` and `<prefix>_rpc_seconds`.
        registry: Where they are registered.
    """

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        self._prefix = prefix
        self._ends: dict[tuple[str, str], int] = {}
        self._times: dict[str, Distribution] = {}
        self._observed: dict[str, Handler] = {}
        registry.register(self)

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Handler | None]], handler_call_details: Any
    ) -> Handler | None:
        """Return the method's handler, observed. A server's handlers do not change, so each is made once."""
        handler = await continuation(handler_call_details)
        if handler is None:
            self._count(UNKNOWN_METHOD, grpc.StatusCode.UNIMPLEMENTED.name)
            return None
        path = handler_call_details.method
        observed = self._observed.get(path)
        if observed is None:
            observed = self._observed[path] = self._observe(handler, _shown(path))
        return observed

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        ends = CounterMetricFamily(
            f"{self._prefix}_rpcs", "Calls that ended, streams too, by gRPC status", labels=["method", "code"]
        )
        for labels, count in list(self._ends.items()):
            ends.add_metric(labels, count)
        yield ends
        times = HistogramMetricFamily(
            f"{self._prefix}_rpc_seconds", "Time that calls took which do not stream", labels=["method"]
        )
        for method, values in list(self._times.items()):
            times.add_metric([method], values.buckets(), values.sum)
        yield times

    def _observe(self, handler: Handler, method: str) -> Handler:
        kind = next(kind for kind in _KINDS if getattr(handler, kind) is not None)
        behaviour = getattr(handler, kind)
        if inspect.isasyncgenfunction(behaviour):
            observed: Any = self._counted_responses(behaviour, method)
        elif kind == "unary_unary":
            observed = self._counted(_timed(behaviour, self._times.setdefault(method, Distribution(SECONDS))), method)
        else:
            observed = self._counted(behaviour, method)
        make: Callable[..., Handler] = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(
            observed,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _counted(self, behaviour: Behaviour, method: str) -> Behaviour:
        async def counted(request: Any, context: Context) -> Any:
            try:
                response = await behaviour(request, context)
            except BaseException as error:
                self._count(method, _code_of(error, context))
                raise
            self._count(method, _name(context.code() or grpc.StatusCode.OK))
            return response

        return counted

    def _counted_responses(
        self, behaviour: Callable[[Any, Context], AsyncGenerator[Any, None]], method: str
    ) -> Callable[[Any, Context], AsyncGenerator[Any, None]]:
        async def counted(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            try:
                async with aclosing(behaviour(request, context)) as responses:
                    async for response in responses:
                        yield response
            except BaseException as error:
                self._count(method, _code_of(error, context))
                raise
            self._count(method, _name(context.code() or grpc.StatusCode.OK))

        return counted

    def _count(self, method: str, code: str) -> None:
        self._ends[method, code] = self._ends.get((method, code), 0) + 1


def _timed(behaviour: Behaviour, times: Distribution) -> Behaviour:
    async def timed(request: Any, context: Context) -> Any:
        began_s = perf_counter()
        try:
            return await behaviour(request, context)
        finally:
            times.observe(perf_counter() - began_s)

    return timed


def _code_of(error: BaseException, context: Context) -> str:
    """Return how a call ended: whoever went away, or let its deadline pass, has cancelled it."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return grpc.StatusCode.CANCELLED.name
    return _name(context.code() or grpc.StatusCode.UNKNOWN)


def _name(code: Any) -> str:
    """Return the name of a status as a context has it: as it was set, by itself or by its number."""
    return code.name if isinstance(code, grpc.StatusCode) else _NAMES[code]


def _shown(path: str) -> str:
    """Return `AuthService/VerifyKey` of `/tidewire.auth.v1.AuthService/VerifyKey`."""
    service, _, method = path.removeprefix("/").rpartition("/")
    return f"{service.rpartition('.')[2]}/{method}"
