"""Who calls: the service token, or an API key with the permission `admin:*`; and the frame round every method.

Each method of both services goes through `unary` or calls `Callers.admit` first; a test calls every one of
them without a credential.
"""

import functools
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import grpc

from auth_service.adapters.grpc_errors import end_with
from auth_service.core.errors import CallerUnknownError
from auth_service.core.verifier import Verifier
from service_runtime.grpc_channel import bearer_token

ADMIN: Final = "admin"

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever was let in; `key_id` is empty for the service token."""

    key_id: str = ""


SERVICE: Final = Caller()


class Callers:
    """Lets callers in.

    Args:
        verifier: for callers that show an API key.
        service_token: the credential that services show each other.
    """

    def __init__(self, verifier: Verifier, service_token: str) -> None:
        self._verifier = verifier
        self._service_token = service_token.encode()

    async def admit(self, context: Context) -> Caller:
        """Return who calls.

        Raises:
            CallerUnknownError: no credential, or one that is not known or no longer good.
            CallerNotAllowedError: a good key that may not call this service.
        """
        token = bearer_token(context.invocation_metadata())
        if token is None:
            raise CallerUnknownError("the call carries no credential: authorization: Bearer <token>")
        if hmac.compare_digest(token.encode(), self._service_token):
            return SERVICE
        return Caller(await self._verifier.admit(token, ADMIN))

    async def admit_again(self, caller: Caller) -> None:
        """Look again at the caller of a long stream; raises as `admit`."""
        if caller.key_id:
            await self._verifier.admit_again(caller.key_id, ADMIN)


class HasCallers(Protocol):
    """A servicer that knows its callers."""

    callers: Callers


S = TypeVar("S", bound=HasCallers)
Request = TypeVar("Request")
Response = TypeVar("Response")


def unary(
    method: Callable[[S, Request], Awaitable[Response]],
) -> Callable[[S, Request, Context], Awaitable[Response]]:
    """Make an RPC of a method: the caller is let in first, errors become status."""

    @functools.wraps(method)
    async def rpc(self: S, request: Request, context: Context) -> Response:
        try:
            await self.callers.admit(context)
            return await method(self, request)
        except Exception as error:
            await end_with(context, error)

    return rpc
