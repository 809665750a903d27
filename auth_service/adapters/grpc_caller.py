"""Who calls, and may it: the service token, or an API key with the permission `admin:<group>`; and the frame of every method.

A method belongs to one group, and a caller is let in for that group or not. Each method of both services goes through
`unary` or calls `Callers.admit` first; a test calls every one of them without a credential.
"""

import enum
import functools
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import grpc

from auth_service.adapters.grpc_errors import end_with
from auth_service.core.errors import CallerUnknownError
from auth_service.core.verification import Use
from auth_service.core.verifier import Verifier
from service_runtime.grpc_channel import bearer_token

ADMIN: Final = "admin"

Context = grpc.aio.ServicerContext[Any, Any]


class Group(enum.Enum):
    """What a method is for; the values are those of the contracts (`auth/v1/auth.proto`, `auth/v1/admin.proto`)."""

    VERIFY = "verify"
    CHECK = "check"
    WATCH = "watch"
    READ_KEYS = "keys.read"
    WRITE_KEYS = "keys.write"
    READ_AUDIT = "audit.read"


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
    """

    def __init__(self, verifier: Verifier, service_token: str) -> None:
        self._verifier = verifier
        self._service_token = service_token.encode()

    async def admit(self, context: Context, group: Group) -> Caller:
        """Return who calls.

        Args:
            context: of the call.
            group: what the called method is for.

        Raises:
            CallerUnknownError: no credential, or one that is not known or no longer good.
            CallerNotAllowedError: a known caller that may not call methods of this group.
        """
        return await self.admit_token(bearer_token(context.invocation_metadata()), group)

    async def admit_token(self, token: str | None, group: Group) -> Caller:
        """Return who shows a credential; raises as `admit`.

        Args:
            token: what it shows; None: nothing.
            group: what is called.
        """
        if not token:
            raise CallerUnknownError("the call carries no credential: authorization: Bearer <token>")
        if hmac.compare_digest(token.encode(), self._service_token):
            return SERVICE
        key_id = await self._verifier.admit(token, Use(action=ADMIN, channel=group.value))
        return Caller(f"key:{key_id}", key_id)

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
