"""From faults to HTTP: status, and a body with the same reason as the `ErrorInfo` of the gRPC status."""

from typing import Final

import grpc
from aiohttp import hdrs, web

from auth_service.adapters.grpc_api.errors import ERROR_DOMAIN, Fault, fault_of
from auth_service.core.external_authorization import CODE_HEADER, REALM

_Code = grpc.StatusCode
STATUS_OF: Final = {
    _Code.INVALID_ARGUMENT: 400,
    _Code.UNAUTHENTICATED: 401,
    _Code.PERMISSION_DENIED: 403,
    _Code.NOT_FOUND: 404,
    _Code.FAILED_PRECONDITION: 409,
    _Code.ABORTED: 409,
    _Code.RESOURCE_EXHAUSTED: 429,
    _Code.INTERNAL: 500,
    _Code.UNAVAILABLE: 503,
}
RETRY_AFTER_S: Final = 1
_OF_REFUSAL: Final = {404: "path", 405: "method", 413: "body"}


def fault_response(error: Exception, status: int | None = None) -> web.Response:
    """Return the answer to a request that ended with an error.

    Args:
        error: of ours or a defect.
        status: of HTTP; None: the one that belongs to the error.
    """
    fault = fault_of(error)
    return _response(fault, STATUS_OF[fault.status] if status is None else status)


def refusal_response(refused: web.HTTPException) -> web.Response:
    """Return the answer to a request that the HTTP server itself refuses, such as one for a path that is not there."""
    metadata = {"field": _OF_REFUSAL[refused.status]} if refused.status in _OF_REFUSAL else {}
    fault = Fault(_Code.INVALID_ARGUMENT, "INVALID_FIELD", refused.reason, metadata)
    response = _response(fault, refused.status)
    if hdrs.ALLOW in refused.headers:
        response.headers[hdrs.ALLOW] = refused.headers[hdrs.ALLOW]
    return response


def _response(fault: Fault, status: int) -> web.Response:
    body = {"reason": fault.reason, "domain": ERROR_DOMAIN, "message": fault.message, "metadata": fault.metadata}
    headers = {CODE_HEADER: fault.reason}
    if status == 401:
        headers[hdrs.WWW_AUTHENTICATE] = REALM
    if status == 503:
        headers[hdrs.RETRY_AFTER] = str(RETRY_AFTER_S)
    return web.json_response({"error": body}, status=status, headers=headers)
