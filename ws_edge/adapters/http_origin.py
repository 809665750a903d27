"""Which pages may talk to the edge: the `Origin` header of WebSocket upgrades (RFC 6455 section 10.2) and of CORS requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from aiohttp import hdrs, web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OriginPolicy:
    """Allows the edge's own origin and those named.

    Args:
        allowed: Origins such as `https://app.example.com`; `*` allows every one.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = {origin.rstrip("/").lower() for origin in allowed}

    def allows(self, request: web.Request) -> bool:
        """Say if a request's `Origin` is allowed; a client that sends none is no browser and is let through."""
        origin = request.headers.get(hdrs.ORIGIN)
        return origin is None or self._known(origin, request)

    def _known(self, origin: str, request: web.Request) -> bool:
        origin = origin.lower()
        own = {f"{scheme}://{request.host.lower()}" for scheme in ("http", "https")}
        return "*" in self._allowed or origin in self._allowed or origin in own

    @web.middleware
    async def cors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer preflights, and let allowed pages read the HTTP API (WHATWG Fetch, "CORS protocol")."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or not request.path.startswith("/api/"):
            return await handler(request)
        if not self._known(origin, request):
            raise web.HTTPForbidden(text="Origin is not allowed")
        preflight = request.method == hdrs.METH_OPTIONS
        response = web.Response(status=204) if preflight else await handler(request)
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.VARY] = hdrs.ORIGIN
        if preflight:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, POST, OPTIONS"
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = "authorization, content-type, x-api-key"
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = "600"
        return response
