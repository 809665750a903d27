"""Who calls, and may it; and the frame round every method.

A caller shows the service token, an API key with the permission `admin:<group>`, or no such thing but a client certificate
that the settings name. A method belongs to one group (`Group`), and a caller is let in for that group or not. Each method
of both services goes through `unary` or calls `Callers.admit` first; a test calls every one of them without a credential.
"""

import functools
import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeVar

import grpc

from auth_service.adapters.grpc_api.errors import end_with
from auth_service.core.callers import Certificates, Group
from auth_service.core.errors import CallerNotAllowedError, CallerUnknownError
from auth_service.core.permissions import ADMIN
from auth_service.core.verification import Use
from auth_service.core.verifier import Verifier
from service_runtime.grpc_channel import bearer_token, shows_credential
from service_runtime.peer_certificate import certificate_names

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever was let in.

    Args:
        actor: as the audit log has it (`auth/v1/admin.proto`, `AuditEntry.actor`).
        key_id: of the API key it showed; empty: it showed something else.
    """

    actor: str
    key_id: str = ""


SERVICE: Final = Caller("service-token")


class Callers:
    """Lets callers in.

    Args:
        verifier: for callers that show an API key.
        service_token: the credential that services show each other.
        certificates: what callers are let in for that show a client certificate and no other credential.
    """

    def __init__(
        self, verifier: Verifier, service_token: str, certificates: Certificates = MappingProxyType({})
    ) -> None:
        self._verifier = verifier
        self._service_token = service_token.encode()
        self._certificates = certificates

    async def admit(self, context: Context, group: Group) -> Caller:
        """Return who calls.

        Args:
            context: of the call.
            group: what the called method is for.

        Raises:
            CallerUnknownError: no credential, or one that is not known or no longer good.
            CallerNotAllowedError: a known caller that may not call methods of this group.
        """
        token = bearer_token(context.invocation_metadata())
        if token is not None:
            return await self.admit_token(token, group)
        if shows_credential(context.invocation_metadata()):
            raise CallerUnknownError("the credential of the call is not of the form authorization: Bearer <token>")
        return self.admit_certificate(certificate_names(context), group)

    async def admit_token(self, token: str, group: Group) -> Caller:
        """Return who shows a credential; raises as `admit`.

        Args:
            token: what it shows; it is ASCII.
            group: what is called.
        """
        if hmac.compare_digest(token.encode(), self._service_token):
            return SERVICE
        key_id = await self._verifier.admit(token, Use(action=ADMIN, channel=group.value))
        return Caller(f"key:{key_id}", key_id)

    def admit_certificate(self, names: Sequence[str], group: Group) -> Caller:
        """Return who shows no credential but a certificate; raises as `admit`.

        Who shows another credential, a wrong one too, is judged by that one alone.

        Args:
            names: those in the certificate, which was verified; empty: it shows none.
            group: what is called.
        """
        known = [name for name in names if name in self._certificates]
        for name in known:
            if group in self._certificates[name]:
                return Caller(f"certificate:{name}")
        if known:
            raise CallerNotAllowedError(f"the certificate of {known[0]} is not let in for {group.value}")
        raise CallerUnknownError("the call carries no credential: authorization: Bearer <token>")

    async def admit_again(self, caller: Caller, group: Group) -> None:
        """Look again at the caller of a long stream; raises as `admit`."""
        if caller.key_id:
            await self._verifier.admit_again(caller.key_id, Use(action=ADMIN, channel=group.value))


class HasCallers(Protocol):
    """A servicer that knows its callers."""

    callers: Callers


S = TypeVar("S", bound=HasCallers)
Request = TypeVar("Request")
Response = TypeVar("Response")


def unary(
    group: Group,
) -> Callable[
    [Callable[[S, Request, Caller], Awaitable[Response]]], Callable[[S, Request, Context], Awaitable[Response]]
]:
    """Make an RPC of a method: the caller is let in first, errors become status.

    Args:
        group: what the method is for.
    """

    def decorate(
        method: Callable[[S, Request, Caller], Awaitable[Response]],
    ) -> Callable[[S, Request, Context], Awaitable[Response]]:
        @functools.wraps(method)
        async def rpc(self: S, request: Request, context: Context) -> Response:
            try:
                return await method(self, request, await self.callers.admit(context, group))
            except Exception as error:
                await end_with(context, error)

        return rpc

    return decorate
