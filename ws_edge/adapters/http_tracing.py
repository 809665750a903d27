"""Traces of requests over HTTP: a sampled one is worked on under a span."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from service_runtime.tracing.traceparent import HEADER, read_traceparent
from service_runtime.tracing.tracing import Tracing
from service_runtime.tracing.work import Kind

PREFIX: Final = "/api/"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def traced_requests(tracing: Tracing) -> Middleware:
    """Return the middleware that makes a span of each request of the API that is sampled.

    Args:
        tracing: What traces.
    """

    @web.middleware
    async def trace(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(PREFIX):
            return await handler(request)
        parent = read_traceparent(request.headers.get(HEADER))
        if not tracing.sampler.wants(parent):
            return await handler(request)
        resource = request.match_info.route.resource
        route = resource.canonical if resource else ""
        work = tracing.begin("edge.request", Kind.SERVER, parent, method=request.method, route=route)
        with work.active():
            try:
                response = await handler(request)
                work.span.note(status=response.status)
                if response.status >= 500:
                    work.error = f"status {response.status}"
                return response
            finally:
                work.done()

    return trace
