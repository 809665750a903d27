"""What a servicer is given of a call, and how the call ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

import grpc
from google.rpc import error_details_pb2, status_pb2

SERVICE_TOKEN: Final = "fuzz-service-token"
# Of our own faults. Whoever sends a request, whatever is in it, has caused none of them.
NEVER: Final = frozenset(
    {
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


class Ended(Exception):
    """The call ended with a status, which says why as `google.rpc.ErrorInfo`."""

    def __init__(self, code: grpc.StatusCode, message: str, info: error_details_pb2.ErrorInfo) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.info = info


class CallContext:
    """A call of a caller that shows the service token, or nothing."""

    def __init__(self, *, with_token: bool = True) -> None:
        self._metadata = (("authorization", f"Bearer {SERVICE_TOKEN}"),) if with_token else ()
        self.written: list[bytes] = []

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    def auth_context(self) -> Mapping[str, Any]:
        return {}

    def set_code(self, code: grpc.StatusCode) -> None:
        """Interceptors look at it."""

    async def write(self, body: bytes) -> None:
        self.written.append(body)

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        found = dict(status.trailing_metadata)
        rich = status_pb2.Status.FromString(found["grpc-status-details-bin"])
        info = error_details_pb2.ErrorInfo()
        (detail,) = rich.details
        assert detail.Unpack(info), "a status without a reason"
        assert rich.message == status.details
        raise Ended(status.code, status.details, info)


def check_ended(ended: Ended, *, with_token: bool) -> None:
    """Fail if a call ended in a way that no request may cause."""
    assert ended.code not in NEVER, str(ended)
    assert ended.info.reason not in ("", "INTERNAL"), str(ended)
    unauthenticated = ended.code is grpc.StatusCode.UNAUTHENTICATED
    assert unauthenticated != with_token, f"with token: {with_token}; {ended}"
    if ended.code is grpc.StatusCode.INVALID_ARGUMENT:
        assert ended.info.metadata["field"], "which field is not told"
