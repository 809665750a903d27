"""Stands between an auth service and whoever calls it, call by call, and holds answers back while news passes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from tidewire.auth.v1 import auth_pb2, auth_pb2_grpc

DEADLINE_S = 30.0


class AuthRelay(auth_pb2_grpc.AuthServiceServicer):
    """Forwards to a real auth service.

    Args:
        target: Where that is.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._release = asyncio.Event()
        self._release.set()
        self._server = grpc.aio.server()
        self.port = 0
        self.held: asyncio.Queue[Any] = asyncio.Queue()
        self.changes = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> AuthRelay:
        self._channel = grpc.aio.insecure_channel(self._target)
        self._stub = auth_pb2_grpc.AuthServiceStub(self._channel)
        auth_pb2_grpc.add_AuthServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()
        await self._server.stop(None)
        await self._channel.close()

    def hold(self) -> None:
        """Keep answers back from now on; `held` has each when the auth service has given it."""
        self._release.clear()

    def release(self) -> None:
        """Let all answers through."""
        self._release.set()

    async def VerifyKeys(self, request: auth_pb2.VerifyKeysRequest, context: Any) -> auth_pb2.VerifyKeysResponse:  # noqa: N802
        return await self._forward(self._stub.VerifyKeys, request, context)

    async def CheckPermission(  # noqa: N802
        self, request: auth_pb2.CheckPermissionRequest, context: Any
    ) -> auth_pb2.CheckPermissionResponse:
        return await self._forward(self._stub.CheckPermission, request, context)

    async def WatchKeys(  # noqa: N802
        self, request: auth_pb2.WatchKeysRequest, context: Any
    ) -> AsyncIterator[auth_pb2.WatchKeysResponse]:
        call: Any = self._stub.WatchKeys(request, metadata=_credential(context))
        try:
            while (event := await call.read()) is not grpc.aio.EOF:
                self.changes += event.WhichOneof("event") == "change"
                yield event
        except grpc.aio.AioRpcError as exc:
            await context.abort(exc.code(), exc.details())
        finally:
            call.cancel()

    async def _forward(self, method: Any, request: Any, context: Any) -> Any:
        try:
            answer = await method(request, metadata=_credential(context), timeout=DEADLINE_S)
        except grpc.aio.AioRpcError as exc:
            await context.abort(exc.code(), exc.details(), exc.trailing_metadata())
        if not self._release.is_set():
            self.held.put_nowait(answer)
            await self._release.wait()
        return answer


def _credential(context: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((key, value) for key, value in context.invocation_metadata() if key == "authorization")
