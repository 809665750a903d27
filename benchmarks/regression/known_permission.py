"""A verifier whose watch is on and which knows one permission, from a real gRPC server that says yes to all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
from tidewire.auth.v1 import auth_pb2

from tidewire_client.verifier import KeyVerifier

PERMISSION: Final = ("k1", "publish", "room", "bench", "main")
_SERVICE: Final = auth_pb2.DESCRIPTOR.services_by_name["AuthService"].full_name
_ALWAYS_S: Final = 86_400.0
_DEADLINE_S: Final = 30.0


async def _allow(request: auth_pb2.CheckPermissionRequest, context: Any) -> auth_pb2.CheckPermissionResponse:
    verdict = auth_pb2.Verdict(code=auth_pb2.VERDICT_CODE_VALID, key_id=request.key_id, revision=1)
    verdict.cache_ttl.FromSeconds(int(_ALWAYS_S))
    return auth_pb2.CheckPermissionResponse(verdict=verdict)


async def _watch(request: auth_pb2.WatchKeysRequest, context: Any) -> AsyncIterator[auth_pb2.WatchKeysResponse]:
    yield auth_pb2.WatchKeysResponse(checkpoint=auth_pb2.Checkpoint(revision=1))
    await asyncio.Event().wait()


def _handler() -> grpc.GenericRpcHandler:
    methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "CheckPermission": grpc.unary_unary_rpc_method_handler(
            _allow,
            request_deserializer=auth_pb2.CheckPermissionRequest.FromString,
            response_serializer=auth_pb2.CheckPermissionResponse.SerializeToString,
        ),
        "WatchKeys": grpc.unary_stream_rpc_method_handler(
            _watch,
            request_deserializer=auth_pb2.WatchKeysRequest.FromString,
            response_serializer=auth_pb2.WatchKeysResponse.SerializeToString,
        ),
    }
    return grpc.method_handlers_generic_handler(_SERVICE, methods)


@asynccontextmanager
async def known_permission() -> AsyncIterator[KeyVerifier]:
    """Yield the verifier; its watch counts as fresh for a day."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    verifier = KeyVerifier(f"127.0.0.1:{port}", stale_after_s=_ALWAYS_S)
    try:
        await verifier.start()
        async with asyncio.timeout(_DEADLINE_S):
            while verifier.check_cached(*PERMISSION) is None:
                await verifier.check(*PERMISSION)
                await asyncio.sleep(0)
        yield verifier
    finally:
        await verifier.close()
        await server.stop(None)
