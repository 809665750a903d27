"""What can go wrong in a call.

TidewireError
├── ServiceUnavailable    a service cannot be reached
│   └── ConnectionLost    a WebSocket connection to the edge ended; one may come back
├── ServiceTimeout        a service did not answer in time
├── CallerNotAllowed      the credential of the caller is unknown, or not good for this call
├── InvalidRequest        a field breaks a rule
├── NotFound              what was named is not there
├── FailedPrecondition    it is there, but not in a state for this
│   └── KeyNotActive      a key is disabled or expired
├── EtagMismatch          a key changed since it was read
├── LimitExceeded         a bound was reached
├── ServerFault           a defect of the service
└── ConnectionRefused     the edge ended a WebSocket connection for good
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import grpc

from service_runtime.grpc_errors import error_info


class TidewireError(Exception):
    """Root of the client's exceptions.

    Args:
        message: For people.
        reason: For programs: a name of the contract's `ErrorReason`; empty if there was none.
        safe_to_repeat: Repeating the call cannot do anything twice.
    """

    def __init__(self, message: str, *, reason: str = "", safe_to_repeat: bool = True) -> None:
        self.reason = reason
        self.safe_to_repeat = safe_to_repeat
        super().__init__(message)


class ServiceUnavailable(TidewireError):
    """A service cannot be reached; the call was repeated until its deadline."""


class ConnectionLost(ServiceUnavailable):
    """A WebSocket connection to the edge ended, or never came about; one may come back.

    Args:
        message: For people.
        retry_after_s: When the edge wants to see the client again, in seconds, already jittered; None: it did not say.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class ServiceTimeout(TidewireError):
    """A service did not answer in time; it may have done what was asked."""


class CallerNotAllowed(TidewireError):
    """The credential of the caller is unknown, or not good for this call."""


class InvalidRequest(TidewireError):
    """A field of the request breaks a rule; `field` names it."""

    field: str = ""


class NotFound(TidewireError):
    """What was named is not there."""


class FailedPrecondition(TidewireError):
    """It is there, but not in a state in which this can be done."""


class KeyNotActive(FailedPrecondition):
    """A key is disabled or expired, and this needs one that is good."""


class EtagMismatch(TidewireError):
    """A key changed since it was read: read it again, and decide anew. Nothing was done."""


class LimitExceeded(TidewireError):
    """A bound was reached."""


class ServerFault(TidewireError):
    """A defect of the service."""


class ConnectionRefused(TidewireError):
    """The edge ended a WebSocket connection, and says not to come back by itself.

    Args:
        message: The edge's reason.
        code: The close code.
        error_type: Of the `error` frame before it; empty if there was none.
    """

    def __init__(self, message: str, *, code: int, error_type: str = "") -> None:
        self.code = code
        self.error_type = error_type
        super().__init__(message, reason=error_type)


_BY_STATUS: Final[Mapping[grpc.StatusCode, type[TidewireError]]] = {
    grpc.StatusCode.UNAVAILABLE: ServiceUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: ServiceTimeout,
    grpc.StatusCode.CANCELLED: ServiceUnavailable,
    grpc.StatusCode.UNAUTHENTICATED: CallerNotAllowed,
    grpc.StatusCode.PERMISSION_DENIED: CallerNotAllowed,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LimitExceeded,
}
# What a reason says more exactly than its status.
_BY_REASON: Final[Mapping[str, type[TidewireError]]] = {
    "ETAG_MISMATCH": EtagMismatch,
    "KEY_NOT_ACTIVE": KeyNotActive,
}


def from_rpc(exc: grpc.aio.AioRpcError, service: str, *, safe_to_repeat: bool = True) -> TidewireError:
    """Return the client's exception for a failed call.

    Args:
        exc: As gRPC raised it.
        service: Named in the words, e.g. `auth`.
        safe_to_repeat: Repeating the call cannot do anything twice.
    """
    info = error_info(exc)
    kind = _BY_STATUS.get(exc.code(), ServerFault)
    if info is not None:
        kind = _BY_REASON.get(info.reason, kind)
        words = exc.details() or kind.__name__
    elif kind is ServiceUnavailable:
        words = f"the {service} service cannot be reached"
    elif kind is ServiceTimeout:
        words = f"the {service} service did not answer in time"
    else:
        words = f"the {service} service refused the call: {exc.code().name}"
    error = kind(words, reason=info.reason if info is not None else "", safe_to_repeat=safe_to_repeat)
    if isinstance(error, InvalidRequest) and info is not None:
        error.field = info.metadata.get("field", "")
    return error
