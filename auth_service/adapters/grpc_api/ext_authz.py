"""Envoy's external authorization over gRPC: `envoy.service.auth.v3.Authorization`.

What a key is wanted for comes from the route's `context_extensions`. A denial is an answer; a fault is a status, and what
Envoy makes of that is set by `status_on_error` and `failure_mode_allow` in its configuration.
"""

import json
from collections.abc import Iterable
from typing import Final

from google.rpc import code_pb2
from tidewire.envoy.v3 import external_auth_pb2 as envoy_pb2
from tidewire.envoy.v3 import external_auth_pb2_grpc

from auth_service.adapters.grpc_api.caller import Caller, Callers, unary
from auth_service.adapters.metrics import count_verdict
from auth_service.core.callers import Group
from auth_service.core.external_authorization import (
    CODE_HEADER,
    NO_KEY_ANSWER,
    Answer,
    answer_of,
    client_address,
    forgeable_names,
    presented_key,
    use_asked,
)
from auth_service.core.verifier import Verifier

_REMOVED: Final = forgeable_names()
_OVERWRITE: Final = envoy_pb2.HeaderValueOption.HEADER_APPEND_ACTION_OVERWRITE_IF_EXISTS_OR_ADD
_STATUS: Final = {
    401: code_pb2.UNAUTHENTICATED,
    403: code_pb2.PERMISSION_DENIED,
    429: code_pb2.RESOURCE_EXHAUSTED,
}


class ExtAuthzServicer(external_auth_pb2_grpc.AuthorizationServicer):
    """Says whether a request may go on.

    Args:
        callers: lets proxies in.
        verifier: gives verdicts.
    """

    def __init__(self, callers: Callers, verifier: Verifier) -> None:
        self.callers = callers
        self._verifier = verifier

    @unary(Group.VERIFY)
    async def Check(self, request: envoy_pb2.CheckRequest, caller: Caller) -> envoy_pb2.CheckResponse:  # noqa: N802
        """Check one request; the key is charged."""
        attributes = request.attributes
        use = use_asked(attributes.context_extensions)
        headers = attributes.request.http.headers
        api_key = presented_key(headers.get("authorization"), headers.get("x-api-key"))
        if api_key is None:
            return _denied(NO_KEY_ANSWER)
        address = client_address(attributes.source.address.socket_address.address)
        verdict = await self._verifier.verify(api_key, use, address)
        count_verdict(verdict.code)
        answer = answer_of(verdict)
        return _allowed(answer) if answer.allowed else _denied(answer)


def _allowed(answer: Answer) -> envoy_pb2.CheckResponse:
    """Return the consent; identity headers that the client sent are replaced, those that look like them removed."""
    return envoy_pb2.CheckResponse(
        status=envoy_pb2.Status(code=code_pb2.OK),
        ok_response=envoy_pb2.OkHttpResponse(headers=_headers(answer.headers), headers_to_remove=_REMOVED),
    )


def _denied(answer: Answer) -> envoy_pb2.CheckResponse:
    shown = (*answer.headers, (CODE_HEADER, answer.code), ("Content-Type", "application/json"))
    return envoy_pb2.CheckResponse(
        status=envoy_pb2.Status(code=_STATUS[answer.status], message=answer.code),
        denied_response=envoy_pb2.DeniedHttpResponse(
            status=envoy_pb2.HttpStatus(code=answer.status),
            headers=_headers(shown),
            body=json.dumps({"error": answer.error, "code": answer.code}),
        ),
    )


def _headers(pairs: Iterable[tuple[str, str]]) -> list[envoy_pb2.HeaderValueOption]:
    return [
        envoy_pb2.HeaderValueOption(header=envoy_pb2.HeaderValue(key=name, value=value), append_action=_OVERWRITE)
        for name, value in pairs
    ]
