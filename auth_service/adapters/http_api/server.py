"""The HTTP server of the auth service: its bounds, and the frame round every request."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiohttp import hdrs, web

from auth_service.adapters import metrics
from auth_service.adapters.http_api.errors import fault_response, refusal_response
from auth_service.core.errors import InvalidFieldError, StoreUnavailableError
from service_runtime.http_bodies import UnreadableBody
from service_runtime.http_listening import listen
from service_runtime.http_logs import quiet_about_content
from service_runtime.listening import PortTakenError

MAX_BODY_BYTES: Final = 64 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpServer:
    """Serves routes over HTTP/1.1. Logs no request: its query or headers may hold a key.

    Args:
        routes: what is served.
        host: address to listen on.
        port: port to listen on; 0: any free one.
        tls: for HTTPS; None: plain text.
        deadline_s: time that a request may take, its body included.
        grace_s: time for requests under way at the end.
    """

    def __init__(
        self,
        routes: Iterable[web.RouteDef],
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        deadline_s: float,
        grace_s: float,
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._deadline_s = deadline_s
        application = web.Application(middlewares=[self._framed], client_max_size=MAX_BODY_BYTES)
        application.add_routes(routes)
        self._runner = web.AppRunner(application, shutdown_timeout=grace_s)

    async def start(self) -> int:
        """Listen, and return the port.

        Raises:
            PortTakenError: it cannot listen there.
        """
        await self._runner.setup()
        logger = quiet_about_content(logging.getLogger("auth_service.http"))
        try:
            return await listen(self._runner, self._host, self._port, logger, tls=self._tls)
        except PortTakenError:
            await self._runner.cleanup()
            raise

    async def stop(self) -> None:
        """Take no new requests, let those under way finish, then end."""
        await self._runner.cleanup()

    @web.middleware
    async def _framed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await self._answered(request, handler)
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
        resource = request.match_info.route.resource
        metrics.HTTP_REQUESTS.labels(resource.canonical if resource else "none", response.status).inc()
        return response

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await handler(request)
        except web.HTTPException as refused:
            return refusal_response(refused)
        except UnreadableBody as error:
            return fault_response(InvalidFieldError("body", str(error)))
        except TimeoutError:
            return fault_response(StoreUnavailableError(f"not done within {self._deadline_s} s"))
        except Exception as error:
            return fault_response(error)
