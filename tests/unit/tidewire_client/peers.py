"""Services and edges that fail in chosen ways: real servers on port 0 that follow a script and note what they are asked."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from aiohttp import web
from tidewire.auth.v1 import admin_pb2, admin_pb2_grpc, auth_pb2_grpc
from tidewire.session.v1 import session_pb2_grpc, threads_pb2_grpc

from service_runtime.grpc_errors import abort

DOMAIN = "tests.tidewire"


@dataclass(frozen=True)
class Fail:
    """Ends a call with a status, and with a reason if there is one."""

    status: grpc.StatusCode
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


HANG = object()
"""Never answers: the call ends by its deadline."""


class ScriptedService:
    """Answers every method with the next step of its script; the last step is repeated.

    Args:
        steps: Each a response, a `Fail`, `HANG`, or a function of the request that returns one of them.
    """

    def __init__(self, *steps: Any) -> None:
        self._steps = deque(steps)
        self.requests: list[Any] = []
        self.metadata: list[dict[str, Any]] = []

    async def answer(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        step = self._steps.popleft() if len(self._steps) > 1 else self._steps[0]
        if callable(step):
            step = step(request)
        if step is HANG:
            await asyncio.get_running_loop().create_future()
        if isinstance(step, Fail):
            if step.reason:
                await abort(context, step.status, step.reason, DOMAIN, f"words of {step.reason}", **step.metadata)
            await context.abort(step.status, "words of a driver")
        return step


def _servicer(base: type[Any], methods: tuple[str, ...], service: ScriptedService) -> Any:
    async def rpc(_: Any, request: Any, context: Any) -> Any:
        return await service.answer(request, context)

    return type("Servicer", (base,), dict.fromkeys(methods, rpc))()


SESSION = ("PublishMessage", "BroadcastMessage", "GetHistory", "GetPresence", "GetReceipt", "DisconnectClient")
THREADS = ("CreateThread", "GetThread", "ListThreads", "ListThreadMessages")
ADMIN = tuple(admin_pb2.DESCRIPTOR.services_by_name["KeyAdminService"].methods_by_name)


@asynccontextmanager
async def serving(service: ScriptedService) -> AsyncIterator[str]:
    """Serve the session, thread and key admin services with one script; yields the target."""
    server = grpc.aio.server()
    session_pb2_grpc.add_SessionServiceServicer_to_server(
        _servicer(session_pb2_grpc.SessionServiceServicer, SESSION, service), server
    )
    threads_pb2_grpc.add_ThreadServiceServicer_to_server(
        _servicer(threads_pb2_grpc.ThreadServiceServicer, THREADS, service), server
    )
    admin_pb2_grpc.add_KeyAdminServiceServicer_to_server(
        _servicer(admin_pb2_grpc.KeyAdminServiceServicer, ADMIN, service), server
    )
    async with _started(server) as target:
        yield target


@asynccontextmanager
async def serving_auth(servicer: auth_pb2_grpc.AuthServiceServicer) -> AsyncIterator[str]:
    """Serve an auth service; yields the target."""
    server = grpc.aio.server()
    auth_pb2_grpc.add_AuthServiceServicer_to_server(servicer, server)
    async with _started(server) as target:
        yield target


@asynccontextmanager
async def _started(server: grpc.aio.Server) -> AsyncIterator[str]:
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@contextmanager
def unused_target() -> Iterator[str]:
    """Yield an address at which nothing listens while it is held: of a socket that is bound and accepts nobody."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


Script = Callable[["EdgePeer", web.WebSocketResponse], Awaitable[None]]


class EdgePeer:
    """An edge whose connections run one script each; the last script is repeated.

    Args:
        scripts: What a connection does after the upgrade.
    """

    def __init__(self, *scripts: Script) -> None:
        self._scripts = deque(scripts)
        self.connections = 0
        self.frames: list[dict[str, Any]] = []
        self.client_ids: list[str] = []
        self._transports: dict[web.WebSocketResponse, asyncio.BaseTransport] = {}

    def frames_of(self, frame_type: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == frame_type]

    async def expect(self, socket: web.WebSocketResponse, frame_type: str) -> dict[str, Any]:
        """Return the client's next frame, which must be of this type."""
        frame: dict[str, Any] = await socket.receive_json()
        self.frames.append(frame)
        assert frame["type"] == frame_type, frame
        return frame

    async def welcome(self, socket: web.WebSocketResponse) -> None:
        """Let the client in."""
        await socket.send_json({"type": "connection_established", "data": {}})
        frame = await self.expect(socket, "connect")
        await socket.send_json({"type": "connection_success", "id": frame["id"], "data": {}})
        await socket.send_json({"type": "message_delivered", "id": frame["id"], "data": {"original_type": "connect"}})

    async def join(
        self, socket: web.WebSocketResponse, epoch: str = "e1", offset: int = 0, **more: Any
    ) -> dict[str, Any]:
        """Let the client join; returns what it asked for."""
        frame = await self.expect(socket, "join_channel")
        channel = frame["data"]["channel"]
        await socket.send_json({"type": "message_delivered", "id": frame["id"], "data": {}})
        data = {"channel": channel, "epoch": epoch, "offset": offset, "recovered": True, **more}
        await socket.send_json({"type": "subscription_success", "id": frame["id"], "channel": channel, "data": data})
        asked: dict[str, Any] = frame["data"]
        return asked

    def break_off(self, socket: web.WebSocketResponse) -> None:
        """End the connection as a crash does: without a close frame."""
        transport = self._transports[socket]
        assert isinstance(transport, asyncio.Transport)
        transport.abort()

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        self.connections += 1
        self.client_ids.append(request.match_info["client_id"])
        script = self._scripts.popleft() if len(self._scripts) > 1 else self._scripts[0]
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        assert request.transport is not None
        self._transports[socket] = request.transport
        await script(self, socket)
        return socket


def message(offset: int, channel: str = "lobby", epoch: str = "e1", **data: Any) -> dict[str, Any]:
    """Return a message frame."""
    return {
        "type": "chat_message",
        "id": f"m-{offset}",
        "channel": channel,
        "client_id": "alice",
        "timestamp": "2026-11-24T09:00:00.125Z",
        "epoch": epoch,
        "offset": offset,
        "data": {"content": f"text {offset}", **data},
    }


async def until_closed(socket: web.WebSocketResponse) -> None:
    """Return when the client has closed."""
    async for _ in socket:
        pass


@asynccontextmanager
async def serving_edge(peer: EdgePeer) -> AsyncIterator[str]:
    """Serve an edge; yields its URL."""
    async with _serving(peer._serve) as url:
        yield url


@asynccontextmanager
async def serving_status(status: int) -> AsyncIterator[str]:
    """Serve something that answers every upgrade with a status; yields its URL."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status)

    async with _serving(answer) as url:
        yield url


@asynccontextmanager
async def serving_nothing() -> AsyncIterator[str]:
    """Serve something that takes every request and never answers; yields its URL."""

    async def silence(_: web.Request) -> web.Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async with _serving(silence) as url:
        yield url


@asynccontextmanager
async def _serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    application = web.Application()
    application.add_routes([web.get("/client_{client_id}", handler)])
    runner = web.AppRunner(application, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
