"""Faults of gRPC calls with a reason that programs can read: `google.rpc.ErrorInfo` in the rich status (google.rpc.Status)."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status


async def abort(
    context: grpc.aio.ServicerContext[Any, Any],
    status: grpc.StatusCode,
    reason: str,
    domain: str,
    message: str,
    **metadata: str,
) -> NoReturn:
    """End a call with a fault.

    Args:
        context: The call.
        status: The gRPC status.
        reason: A name of the contract's `ErrorReason`, without its prefix.
        domain: Whose reason it is, e.g. `auth.tidewire`.
        message: For people; never a driver's text, never a key.
        metadata: More for programs, e.g. the `field`.
    """
    info = error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata)
    detail = any_pb2.Any()
    detail.Pack(info)
    rich = status_pb2.Status(code=code_pb2.Code.Value(status.name), message=message, details=[detail])
    context.set_code(status)  # what aborts a call leaves no trace of the status for interceptors
    await context.abort_with_status(rpc_status.to_status(rich))
    raise AssertionError("abort_with_status raises")


def error_info(exc: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo | None:
    """Return the reason of a failed call; None if it carries none."""
    for key, value in exc.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            rich = status_pb2.Status.FromString(value if isinstance(value, bytes) else value.encode())
            for detail in rich.details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return info
    return None
