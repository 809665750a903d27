"""From the core's errors to the contracts' reasons and gRPC's statuses: the only place that knows both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

import grpc
from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import message_pb2

from service_runtime.grpc_errors import abort
from session_service.core import errors

DOMAIN: Final = "session.tidewire"
_PREFIX: Final = "ERROR_REASON_"

MAPPING: Final[Mapping[type[errors.SessionError], tuple[message_pb2.ErrorReason.ValueType, grpc.StatusCode]]] = {
    errors.InvalidField: (message_pb2.ERROR_REASON_INVALID_FIELD, grpc.StatusCode.INVALID_ARGUMENT),
    errors.CallerUnknown: (message_pb2.ERROR_REASON_CALLER_UNKNOWN, grpc.StatusCode.UNAUTHENTICATED),
    errors.CallerNotAllowed: (message_pb2.ERROR_REASON_CALLER_NOT_ALLOWED, grpc.StatusCode.PERMISSION_DENIED),
    errors.ThreadNotFound: (message_pb2.ERROR_REASON_THREAD_NOT_FOUND, grpc.StatusCode.NOT_FOUND),
    errors.ClientNotFound: (message_pb2.ERROR_REASON_CLIENT_NOT_FOUND, grpc.StatusCode.NOT_FOUND),
    errors.EngineUnavailable: (message_pb2.ERROR_REASON_ENGINE_UNAVAILABLE, grpc.StatusCode.UNAVAILABLE),
    errors.EngineTimeout: (message_pb2.ERROR_REASON_ENGINE_TIMEOUT, grpc.StatusCode.DEADLINE_EXCEEDED),
    errors.LimitExceeded: (message_pb2.ERROR_REASON_LIMIT_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED),
    errors.ChannelLimit: (message_pb2.ERROR_REASON_CHANNEL_LIMIT, grpc.StatusCode.RESOURCE_EXHAUSTED),
    errors.InternalError: (message_pb2.ERROR_REASON_INTERNAL, grpc.StatusCode.INTERNAL),
    errors.AuthUnavailable: (message_pb2.ERROR_REASON_AUTH_UNAVAILABLE, grpc.StatusCode.UNAVAILABLE),
    errors.ServiceDraining: (message_pb2.ERROR_REASON_DRAINING, grpc.StatusCode.UNAVAILABLE),
}


def command_failed(error: errors.SessionError) -> pb.CommandFailed:
    """Return an error as the edge stream says it."""
    reason, _ = MAPPING[type(error)]
    return pb.CommandFailed(reason=reason, message=str(error), safe_to_repeat=error.safe_to_repeat)


async def abort_with(context: grpc.aio.ServicerContext[Any, Any], error: errors.SessionError) -> NoReturn:
    """End a unary call, or a stream, with an error."""
    reason, status = MAPPING[type(error)]
    name = message_pb2.ErrorReason.Name(reason).removeprefix(_PREFIX)
    metadata = {"field": error.field} if isinstance(error, errors.InvalidField) else {}
    await abort(context, status, name, DOMAIN, str(error), **metadata)
