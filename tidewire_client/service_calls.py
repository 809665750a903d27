"""Calls of one service: the credential, a deadline for each, repeats where they are safe, faults as the client's exceptions.

Whether repeating is safe is decided here, once: a *repeatable* call cannot do anything twice and is repeated until its
deadline; any other is sent once, over a connection that stands, and its error says if something may have been done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Self, TypeVar

import grpc

from service_runtime.grpc_channel import ClientTls, bearer, open_channel
from service_runtime.grpc_errors import error_info
from tidewire_client.errors import ServiceUnavailable, from_rpc
from tidewire_client.retry import SHORTEST_ATTEMPT_S, backoff_s, call_with_retry, repeat

Response = TypeVar("Response")
Method = Callable[..., Awaitable[Response]]

# With these the service may have done what was asked, unless it says itself why it has not (`ErrorInfo`).
_AMBIGUOUS: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.ABORTED,
    }
)
# With these the service says itself that it did nothing, if it says why.
_TELLING: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED})


class ServiceCalls:
    """A channel to one service, and the way calls are made on it.

    Args:
        target: gRPC target of the service.
        service: Named in errors, e.g. `auth`.
        token: The caller's credential: an API key or the service token; empty: none but a client certificate.
        credentials: For TLS: fixed ones, or `TlsFiles`, which are read again when they change; None: plain text.
        deadline_s: For each call, repeats included, in seconds.
        attempt_s: For each attempt of a repeatable call, in seconds.
        interceptors: Run for each call, in order.
    """

    def __init__(
        self,
        target: str,
        *,
        service: str,
        token: str,
        credentials: ClientTls | None,
        deadline_s: float,
        attempt_s: float,
        interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
    ) -> None:
        self.channel = open_channel(target, credentials, interceptors=interceptors)
        self._service = service
        self._metadata = bearer(token) if token else ()
        self._deadline_s = deadline_s
        self._attempt_s = attempt_s

    async def repeatable(self, method: Method[Response], request: Any, *, caller_can_repeat: bool = True) -> Response:
        """Make a call that cannot do anything twice.

        Args:
            method: Of a stub.
            request: Its request; the same one for every attempt.
            caller_can_repeat: The caller can make the very same request again; false when it holds an id that only this
                call knows.

        Raises:
            TidewireError: What the last attempt came to.
        """
        may_be_done = False

        async def attempt(timeout_s: float) -> Response:
            nonlocal may_be_done
            try:
                return await method(request, metadata=self._metadata, timeout=timeout_s)
            except grpc.aio.AioRpcError as exc:
                may_be_done = may_be_done or _may_be_done(exc)
                raise

        try:
            return await call_with_retry(attempt, self._deadline_s, attempt_s=self._attempt_s)
        except grpc.aio.AioRpcError as exc:
            raise from_rpc(exc, self._service, safe_to_repeat=caller_can_repeat or not may_be_done) from None

    async def once(self, method: Method[Response], request: Any) -> Response:
        """Make a call that would do something a second time if it were repeated.

        It is sent when a connection stands, and again only after the service itself said that it did nothing.

        Raises:
            TidewireError: With `safe_to_repeat` false if something may have been done.
        """
        try:
            return await repeat(lambda left: self._send(method, request, left), self._deadline_s, _wait_if_refused)
        except grpc.aio.AioRpcError as exc:
            raise from_rpc(exc, self._service, safe_to_repeat=not _may_be_done(exc)) from None

    async def close(self) -> None:
        """Close the channel."""
        await self.channel.close()

    async def _send(self, method: Method[Response], request: Any, left_s: float) -> Response:
        end = asyncio.get_running_loop().time() + left_s
        try:
            async with asyncio.timeout_at(end):
                await self.channel.channel_ready()
        except TimeoutError:
            raise ServiceUnavailable(f"the {self._service} service cannot be reached") from None
        left_s = max(SHORTEST_ATTEMPT_S, end - asyncio.get_running_loop().time())
        return await method(request, metadata=self._metadata, timeout=left_s)


class ServiceClient:
    """A client that owns its calls; `async with` closes the connection at the end.

    Args:
        calls: The service's.
    """

    def __init__(self, calls: ServiceCalls) -> None:
        self._calls = calls

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._calls.close()


def _wait_if_refused(exc: Exception, count: int) -> float | None:
    if not isinstance(exc, grpc.aio.AioRpcError) or exc.code() is not grpc.StatusCode.UNAVAILABLE:
        return None
    return None if _may_be_done(exc) else backoff_s(count)


def _may_be_done(exc: grpc.aio.AioRpcError) -> bool:
    told = exc.code() in _TELLING and error_info(exc) is not None
    return exc.code() in _AMBIGUOUS and not told
