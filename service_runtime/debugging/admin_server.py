"""The admin port of a service: lists, tasks and a CPU profile as JSON and text, each request behind an API key."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from aiohttp import hdrs, web

from service_runtime.debugging.admission import Admission, Refused
from service_runtime.debugging.cpu_profile import collapsed, take_profile
from service_runtime.debugging.listings import DEFAULT_LIMIT, MAX_LIMIT, Listing, Wanted, page, whole_number
from service_runtime.debugging.task_list import tasks_by_place
from service_runtime.grpc_channel import bearer_token
from service_runtime.http_listening import listen
from service_runtime.http_logs import quiet_about_content
from service_runtime.listening import PortTakenError
from service_runtime.logs import get_logger
from service_runtime.settings import ServiceSettings
from service_runtime.tls_http import server_ssl_context

DEADLINE_S: Final = 10.0
PROFILE_S: Final = 5
MAX_PROFILE_S: Final = 60

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = get_logger("service_runtime.admin")


class AdminServer:
    """Serves `/debug` on `admin_host` and `admin_port`; over TLS where the service speaks TLS to other services.

    Args:
        settings: Address, port and TLS.
        admission: Decides about keys.
        listings: What this service has lists of, by the name of the endpoint.
    """

    def __init__(self, settings: ServiceSettings, admission: Admission, listings: Mapping[str, Listing[Any]]) -> None:
        self._host, self._port = settings.admin_host, settings.admin_port
        self._tls = server_ssl_context(settings)
        self._admission = admission
        self._end_profile = threading.Event()
        self._profiling = False
        application = web.Application(middlewares=[self._framed])
        paths = [*(f"/debug/{name}" for name in listings), "/debug/tasks", "/debug/profile"]
        application.add_routes(
            [
                web.get("/debug", _index(paths), allow_head=False),
                web.get("/debug/tasks", self._tasks, allow_head=False),
                web.get("/debug/profile", self._profile, allow_head=False),
                *(web.get(f"/debug/{name}", _listed(name, of), allow_head=False) for name, of in listings.items()),
            ]
        )
        self._runner = web.AppRunner(application, shutdown_timeout=1.0)

    async def start(self) -> int:
        """Listen, and return the port.

        Raises:
            PortTakenError: It cannot listen there.
        """
        await self._runner.setup()
        logger = quiet_about_content(logging.getLogger("service_runtime.admin.http"))
        try:
            return await listen(self._runner, self._host, self._port, logger, tls=self._tls)
        except PortTakenError:
            await self._runner.cleanup()
            raise

    async def stop(self) -> None:
        """End a profile that is being taken, and all requests."""
        self._end_profile.set()
        await self._runner.cleanup()

    # The frame round each request.

    @web.middleware
    async def _framed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            async with asyncio.timeout(DEADLINE_S):
                key_id = await self._admission.admit(*_shown(request))
            response = await handler(request)
            log.info("looked at", endpoint=request.path, key_id=key_id, status=response.status)
        except Refused as refused:
            response = _refusal(refused)
        except web.HTTPException as refused:
            response = _refusal(Refused(refused.status, "invalid_request", refused.reason))
        except TimeoutError:
            response = _refusal(Refused(504, "timeout", f"Not done within {DEADLINE_S:.0f} s"))
        except Exception as defect:
            log.exception("the admin port has a defect", endpoint=request.path, exc_info=defect)
            response = _refusal(Refused(500, "server_error", "Internal server error"))
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
        return response

    # What is served.

    async def _tasks(self, request: web.Request) -> web.Response:
        limit = whole_number(request.query, "limit", DEFAULT_LIMIT, MAX_LIMIT)
        tasks = asyncio.all_tasks()
        return web.json_response({"total": len(tasks), "tasks": tasks_by_place(tasks, limit)})

    async def _profile(self, request: web.Request) -> web.Response:
        seconds = whole_number(request.query, "seconds", PROFILE_S, MAX_PROFILE_S)
        if self._profiling:
            raise Refused(409, "profile_running", "A profile is being taken; only one is at a time")
        self._profiling = True
        try:
            used = await asyncio.to_thread(take_profile, seconds, self._end_profile)
        finally:
            self._profiling = False
        return web.Response(text=collapsed(used))


async def serve_debugging(
    settings: ServiceSettings,
    admission: Admission,
    listings: Mapping[str, Listing[Any]],
    ending: AsyncExitStack,
) -> dict[str, object]:
    """Serve `/debug` until the end, if the settings name a port for it.

    Args:
        settings: Address, port and TLS.
        admission: Decides about keys.
        listings: What this service has lists of, by the name of the endpoint.
        ending: What is to be done at the end.

    Returns:
        What there is to say of it: `admin_port`, or nothing.

    Raises:
        PortTakenError: It cannot listen there.
    """
    if settings.admin_port < 0:
        return {}
    server = AdminServer(settings, admission, listings)
    port = await server.start()
    ending.push_async_callback(server.stop)
    return {"admin_port": port}


def _shown(request: web.Request) -> tuple[str, str]:
    """Return the key that a request shows, and where it came from; raises Refused."""
    value = request.headers.get(hdrs.AUTHORIZATION)
    key = None if value is None else bearer_token([("authorization", value)])
    if key is None or not key.isascii():
        raise Refused(401, "not_authenticated", "An API key is needed: Authorization: Bearer <key>")
    return key, request.remote or ""


def _refusal(refused: Refused) -> web.Response:
    body = {"message": refused.message, "error_type": refused.error_type, "code": refused.status}
    response = web.json_response({"error": body}, status=refused.status)
    if refused.status == 401:
        response.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    if refused.retry_after_s:
        response.headers[hdrs.RETRY_AFTER] = str(refused.retry_after_s)
    return response


def _index(paths: Sequence[str]) -> Handler:
    async def serve(_: web.Request) -> web.Response:
        return web.json_response({"endpoints": paths})

    return serve


def _listed(name: str, listing: Listing[Any]) -> Handler:
    async def serve(request: web.Request) -> web.Response:
        rows, total, following = await page(listing, Wanted.of(request.query))
        return web.json_response({"total": total, name: rows, "next": following})

    return serve
