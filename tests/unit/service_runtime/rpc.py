"""A gRPC method for tests, without a contract: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

METHOD = "/tests.Echo/Echo"
DEADLINE_S = 10.0

Behaviour = Callable[[bytes, Any], Awaitable[bytes]]


async def echo(request: bytes, context: Any) -> bytes:
    """Answer with the question."""
    return request


def handler(behaviour: Behaviour) -> grpc.GenericRpcHandler:
    """Return a service with the one method."""
    return grpc.method_handlers_generic_handler("tests.Echo", {"Echo": grpc.unary_unary_rpc_method_handler(behaviour)})


async def call(channel: grpc.aio.Channel, request: bytes = b"hello") -> bytes:
    """Call the method."""
    return await channel.unary_unary(METHOD)(request, timeout=DEADLINE_S)


@asynccontextmanager
async def serving(behaviour: Behaviour) -> AsyncIterator[str]:
    """Serve the method in this process, and yield the address."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler(behaviour),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
