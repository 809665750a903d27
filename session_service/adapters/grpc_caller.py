"""Who calls: a service, by its token or certificate, or an API key with the permission that the method names."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

import grpc

from service_runtime.grpc_channel import bearer_token, shows_credential
from service_runtime.logs import get_logger
from service_runtime.peer_certificate import certificate_names
from session_service.adapters.grpc_errors import abort_with
from session_service.core.errors import (
    AuthUnavailable,
    CallerNotAllowed,
    CallerUnknown,
    InternalError,
    LimitExceeded,
    SessionError,
)
from session_service.core.topic import Topic
from tidewire_client.errors import TidewireError
from tidewire_client.verdict import Verdict, VerdictCode
from tidewire_client.verifier import KeyVerifier

log = get_logger("session_service.rpc")
Context = grpc.aio.ServicerContext[Any, Any]
_LATER: Final = frozenset({VerdictCode.RATE_LIMITED, VerdictCode.USAGE_EXCEEDED})
_GOOD_ELSEWHERE: Final = frozenset({VerdictCode.FORBIDDEN, VerdictCode.INSUFFICIENT_PERMISSIONS})


class Caller:
    """Whoever calls; `api_key` is None for the service token, which may do everything.

    Args:
        verifier: Decides about API keys.
        api_key: The credential.
    """

    __slots__ = ("_api_key", "_verifier")

    def __init__(self, verifier: KeyVerifier, api_key: str | None) -> None:
        self._verifier = verifier
        self._api_key = api_key

    async def require(self, action: str, topic: Topic) -> None:
        """Refuse the call unless the caller may do this there.

        Args:
            action: One of the actions of permissions.
            topic: Where; its channel is what the permission is checked on.

        Raises:
            CallerUnknown: the key is not good.
            CallerNotAllowed: it is, but not for this.
            LimitExceeded: it was used too often.
            AuthUnavailable: nobody can say.
        """
        if self._api_key is None:
            return
        try:
            verdict = await self._verifier.verify(self._api_key, domain=topic.domain, workspace=topic.workspace)
            if verdict.allowed:
                verdict = await self._verifier.check(
                    verdict.key_id, action, topic.channel, domain=topic.domain, workspace=topic.workspace
                )
        except TidewireError as error:
            log.warning("caller could not be verified", cause=str(error))
            raise AuthUnavailable from None
        _refuse_unless_allowed(verdict)


def _refuse_unless_allowed(verdict: Verdict) -> None:
    if verdict.allowed:
        return
    if verdict.code in _GOOD_ELSEWHERE:
        raise CallerNotAllowed(verdict.missing)
    if verdict.code in _LATER:
        raise LimitExceeded("the uses of the caller's key")
    raise CallerUnknown("the credential is not known, or no longer good")


class Callers:
    """Lets callers in.

    Args:
        verifier: Decides about API keys.
        service_token: The credential that services show each other.
        certificates: Names of client certificates that stand in for it.
    """

    def __init__(self, verifier: KeyVerifier, service_token: str, certificates: frozenset[str] = frozenset()) -> None:
        self._verifier = verifier
        self._service_token = service_token.encode()
        self._certificates = certificates

    def caller_of(self, context: Context) -> Caller:
        """Return who calls, to be asked for permissions; raises CallerUnknown when there is no credential at all."""
        return Caller(self._verifier, self._api_key(context))

    def admit_service(self, context: Context) -> None:
        """Let only other services in.

        Raises:
            CallerUnknown: no credential.
            CallerNotAllowed: neither the service token nor a certificate that stands in for it.
        """
        if self._api_key(context) is not None:
            raise CallerNotAllowed("only other services may attach, with the service token")

    def _api_key(self, context: Context) -> str | None:
        """Return what the caller shows; None for a service. Who shows a credential is judged by that one alone."""
        metadata = context.invocation_metadata()
        token = bearer_token(metadata)
        if token is not None:
            return None if hmac.compare_digest(token.encode(), self._service_token) else token
        if shows_credential(metadata) or self._certificates.isdisjoint(certificate_names(context)):
            raise CallerUnknown("the call carries no credential: authorization: Bearer <token>")
        return None


class HasCallers(Protocol):
    """A servicer that knows its callers."""

    callers: Callers


S = TypeVar("S", bound=HasCallers)
Request = TypeVar("Request")
Response = TypeVar("Response")


def unary(
    method: Callable[[S, Request, Caller], Awaitable[Response]],
) -> Callable[[S, Request, Context], Awaitable[Response]]:
    """Make an RPC of a method that is given its caller: errors become status, defects are logged and told as INTERNAL."""

    @functools.wraps(method)
    async def rpc(self: S, request: Request, context: Context) -> Response:
        try:
            return await method(self, request, self.callers.caller_of(context))
        except SessionError as error:
            await abort_with(context, error)
        except Exception as error:
            log.exception("call failed", exc_info=error)
            await abort_with(context, InternalError())

    return rpc
