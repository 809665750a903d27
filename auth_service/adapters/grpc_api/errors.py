"""From the errors of this service to gRPC status and `google.rpc.ErrorInfo`: the only place that does so."""

from dataclasses import dataclass
from typing import Any, Final, NoReturn

import grpc
from tidewire.auth.v1 import keys_pb2

from auth_service.adapters import metrics
from auth_service.core import errors
from service_runtime.grpc_errors import abort
from service_runtime.logs import get_logger

ERROR_DOMAIN: Final = "auth.tidewire"
_PREFIX: Final = "ERROR_REASON_"

Mapped = tuple[grpc.StatusCode, "keys_pb2.ErrorReason.ValueType"]

_INTERNAL: Final[Mapped] = (grpc.StatusCode.INTERNAL, keys_pb2.ERROR_REASON_INTERNAL)

# Those of the last group never reach a caller unless this service has a defect.
STATUS_OF: Final[dict[type[errors.AuthError], Mapped]] = {
    errors.InvalidFieldError: (grpc.StatusCode.INVALID_ARGUMENT, keys_pb2.ERROR_REASON_INVALID_FIELD),
    errors.CallerUnknownError: (grpc.StatusCode.UNAUTHENTICATED, keys_pb2.ERROR_REASON_CALLER_UNKNOWN),
    errors.CallerNotAllowedError: (
        grpc.StatusCode.PERMISSION_DENIED,
        keys_pb2.ERROR_REASON_CALLER_NOT_ALLOWED,
    ),
    errors.KeyNotFoundError: (grpc.StatusCode.NOT_FOUND, keys_pb2.ERROR_REASON_KEY_NOT_FOUND),
    errors.KeyNotActiveError: (grpc.StatusCode.FAILED_PRECONDITION, keys_pb2.ERROR_REASON_KEY_NOT_ACTIVE),
    errors.EtagMismatchError: (grpc.StatusCode.ABORTED, keys_pb2.ERROR_REASON_ETAG_MISMATCH),
    errors.KeyRevokedError: (grpc.StatusCode.FAILED_PRECONDITION, keys_pb2.ERROR_REASON_KEY_REVOKED),
    errors.StoreUnavailableError: (grpc.StatusCode.UNAVAILABLE, keys_pb2.ERROR_REASON_STORE_UNAVAILABLE),
    errors.LimitExceededError: (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        keys_pb2.ERROR_REASON_LIMIT_EXCEEDED,
    ),
    errors.KeyFormatError: _INTERNAL,
    errors.PermissionSyntaxError: _INTERNAL,
    errors.PepperError: _INTERNAL,
    errors.KeyExistsError: _INTERNAL,
    errors.AlreadyBootstrappedError: _INTERNAL,
    errors.RevisionGoneError: _INTERNAL,
}

log = get_logger("auth_service.rpc")


@dataclass(frozen=True, slots=True)
class Fault:
    """An error as a caller is told of it, over gRPC or HTTP.

    Args:
        status: of gRPC.
        reason: a name of `ErrorReason`, without its prefix.
        message: for people.
        metadata: for programs, e.g. the `field`.
    """

    status: grpc.StatusCode
    reason: str
    message: str
    metadata: dict[str, str]


def fault_of(error: Exception) -> Fault:
    """Return an error as a fault, and count it. What is no error of ours is logged, and told as `INTERNAL` only."""
    mapped = STATUS_OF.get(type(error), _INTERNAL) if isinstance(error, errors.AuthError) else _INTERNAL
    status, value = mapped
    reason = keys_pb2.ErrorReason.Name(value).removeprefix(_PREFIX)
    metrics.RPC_FAULTS.labels(reason).inc()
    message = str(error)
    if mapped is _INTERNAL:
        log.error("call failed", exc_info=error)
        message = "internal error"
    fields = {"field": error.field} if isinstance(error, errors.InvalidFieldError) else {}
    return Fault(status, reason, message, fields)


async def end_with(context: grpc.aio.ServicerContext[Any, Any], error: Exception) -> NoReturn:
    """End a call with the status of an error."""
    fault = fault_of(error)
    await abort(context, fault.status, fault.reason, ERROR_DOMAIN, fault.message, **fault.metadata)
