"""Interceptor for `grpc.aio` servers that lets only holders of good keys in.

    server = grpc.aio.server(interceptors=[KeyInterceptor(verifier, {"/shop.v1.Orders/Place": ("publish", "orders")})])

Each call is one use of its key, which is verified when the call begins. What is refused carries `google.rpc.ErrorInfo` with
the domain `keys.tidewire`:

| status | reason |
|---|---|
| UNAUTHENTICATED | `NO_KEY`, `SEVERAL_KEYS`, `NOT_FOUND`, `DISABLED`, `REVOKED`, `EXPIRED` |
| PERMISSION_DENIED | `FORBIDDEN`, `INSUFFICIENT_PERMISSIONS` (metadata: `missing`), `METHOD_NOT_LISTED` |
| RESOURCE_EXHAUSTED | `RATE_LIMITED` (metadata: `retry_after_ms`), `USAGE_EXCEEDED` |
| UNAVAILABLE | `NOT_VERIFIED`: the auth service gives no answer, and the key is not known to be good |
"""

from __future__ import annotations

import inspect
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, Final

import grpc

from service_runtime.grpc_errors import abort
from service_runtime.logs import get_logger
from tidewire_client.client_address import address_of_peer
from tidewire_client.denials import BAD_KEYS, NO_KEY, NOT_VERIFIED, SEVERAL_KEYS, SPENT, words_of
from tidewire_client.errors import TidewireError
from tidewire_client.request_keys import keys_in
from tidewire_client.verdict import Verdict, VerdictCode
from tidewire_client.verifier import KeyVerifier

log = get_logger("tidewire_client.grpc_guard")

ERROR_DOMAIN: Final = "keys.tidewire"

Permission = tuple[str, str]
Context = grpc.aio.ServicerContext[Any, Any]
Admit = Callable[[Context], Awaitable[None]]

_VERDICT: Final[ContextVar[Verdict]] = ContextVar("tidewire_verdict")


def current_verdict() -> Verdict:
    """Return the verdict on the key of the call that is served.

    Raises:
        LookupError: No key was verified for it: `KeyInterceptor` is not there, or the method is exempt.
    """
    try:
        return _VERDICT.get()
    except LookupError:
        raise LookupError("no key was verified for this call: KeyInterceptor is not there, or it is exempt") from None


class KeyInterceptor(grpc.aio.ServerInterceptor):
    """Protects the methods of a server; its handlers must be asynchronous.

    The key comes in the metadata `authorization: Bearer <key>` or `x-api-key: <key>`.

    Args:
        verifier: One that the caller starts and closes.
        permissions: What each method needs: from `/package.Service/Method`, or `/package.Service/*` for the others of a
            service, to (action, channel); `("", "")`: any good key. A method that is not there is refused.
        exempt: Methods that need no key, written alike, e.g. `/grpc.health.v1.Health/*`.
    """

    def __init__(
        self, verifier: KeyVerifier, permissions: Mapping[str, Permission], *, exempt: Collection[str] = ()
    ) -> None:
        self._verifier = verifier
        self._permissions = dict(permissions)
        self._exempt = frozenset(exempt)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Put the check before the handler of a method."""
        handler = await continuation(handler_call_details)
        names = _names(handler_call_details.method)
        if handler is None or not self._exempt.isdisjoint(names):
            return handler
        permission = next((self._permissions[name] for name in names if name in self._permissions), None)

        async def admit(context: Context) -> None:
            _VERDICT.set(await self._verdict(context, permission))

        return _guarded(handler, admit, handler_call_details.method)

    async def _verdict(self, context: Context, permission: Permission | None) -> Verdict:
        """Return the verdict on a key that is let in; end the call of any other."""
        keys = keys_in(context.invocation_metadata() or ())
        if len(keys) != 1:
            reason, words = ("SEVERAL_KEYS", SEVERAL_KEYS) if keys else ("NO_KEY", NO_KEY)
            await abort(context, grpc.StatusCode.UNAUTHENTICATED, reason, ERROR_DOMAIN, words)
        if permission is None:
            words = "this method is open to no key"
            await abort(context, grpc.StatusCode.PERMISSION_DENIED, "METHOD_NOT_LISTED", ERROR_DOMAIN, words)
        action, channel = permission
        address = address_of_peer(context.peer())
        try:
            verdict = await self._verifier.verify(keys.pop(), action=action, channel=channel, client_address=address)
        except TidewireError as cause:
            log.warning("a key could not be verified", cause=str(cause))
            await abort(context, grpc.StatusCode.UNAVAILABLE, "NOT_VERIFIED", ERROR_DOMAIN, NOT_VERIFIED)
        if not verdict.allowed:
            metadata = _metadata(verdict)
            await abort(context, _status(verdict), verdict.code.name, ERROR_DOMAIN, words_of(verdict), **metadata)
        return verdict


def _guarded(handler: Any, admit: Admit, method: str) -> grpc.RpcMethodHandler[Any, Any]:
    """Return a handler of the same kind that admits first."""
    kind = f"{'stream' if handler.request_streaming else 'unary'}_{'stream' if handler.response_streaming else 'unary'}"
    behaviour = getattr(handler, kind)
    guarded: Callable[..., Any]
    if inspect.isasyncgenfunction(behaviour):
        guarded = _guarded_generator(behaviour, admit)
    elif inspect.iscoroutinefunction(behaviour):
        guarded = _guarded_coroutine(behaviour, admit)
    else:
        raise TypeError(f"KeyInterceptor needs asynchronous handlers, and that of {method} is none")
    made: grpc.RpcMethodHandler[Any, Any] = getattr(grpc, f"{kind}_rpc_method_handler")(
        guarded,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
    return made


def _guarded_coroutine(behaviour: Callable[..., Awaitable[Any]], admit: Admit) -> Callable[..., Awaitable[Any]]:
    async def guarded(request: Any, context: Context) -> Any:
        await admit(context)
        return await behaviour(request, context)

    return guarded


def _guarded_generator(behaviour: Callable[..., AsyncIterator[Any]], admit: Admit) -> Callable[..., AsyncIterator[Any]]:
    async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:
        await admit(context)
        async with aclosing(behaviour(request, context)) as responses:  # type: ignore[type-var]
            async for response in responses:
                yield response

    return guarded


def _names(method: str) -> tuple[str, str]:
    return method, f"{method.rpartition('/')[0]}/*"


def _status(verdict: Verdict) -> grpc.StatusCode:
    if verdict.code in BAD_KEYS:
        return grpc.StatusCode.UNAUTHENTICATED
    return grpc.StatusCode.RESOURCE_EXHAUSTED if verdict.code in SPENT else grpc.StatusCode.PERMISSION_DENIED


def _metadata(verdict: Verdict) -> dict[str, str]:
    metadata = {"missing": verdict.missing} if verdict.missing else {}
    if verdict.code is VerdictCode.RATE_LIMITED:
        metadata["retry_after_ms"] = str(math.ceil(verdict.retry_after_s * 1000))
    return metadata
