"""Calls of the thread service, repeated inside their deadline, and its faults as HTTP knows them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import grpc
from tidewire.session.v1 import session_pb2, session_pb2_grpc, threads_pb2, threads_pb2_grpc

from service_runtime.grpc_channel import ClientTls
from tidewire_client.errors import (
    InvalidRequest,
    LimitExceeded,
    NotFound,
    ServiceTimeout,
    ServiceUnavailable,
    TidewireError,
)
from tidewire_client.service_calls import ServiceCalls

R = TypeVar("R")

_KINDS: Final[Mapping[type[TidewireError], tuple[str, int, int | None]]] = {
    NotFound: ("not_found", 404, None),
    InvalidRequest: ("invalid_format", 400, None),
    LimitExceeded: ("unavailable", 503, 1000),
    ServiceTimeout: ("timeout", 504, 1000),
    ServiceUnavailable: ("unavailable", 503, 1000),
}


class ThreadServiceError(Exception):
    """The thread service refused a call, or gave no answer."""

    def __init__(self, error_type: str, message: str, code: int, retry_after_ms: int | None) -> None:
        self.error_type = error_type
        self.message = message
        self.code = code
        self.retry_after_ms = retry_after_ms
        super().__init__(message)


class ThreadsClient:
    """The session service's threads, for the edge's HTTP API.

    Args:
        target: gRPC target of the session services.
        tls: What to trust and to show; None: plain text.
        service_token: The credential of services; the caller's key was already checked.
        deadline_s: For each call, repeats included, in seconds.
        interceptors: Run for each call, in order.
    """

    def __init__(
        self,
        target: str,
        tls: ClientTls | None,
        *,
        service_token: str,
        deadline_s: float,
        interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
    ) -> None:
        self._calls = ServiceCalls(
            target,
            service="session",
            token=service_token,
            credentials=tls,
            deadline_s=deadline_s,
            attempt_s=deadline_s / 2,
            interceptors=interceptors,
        )
        self._threads = threads_pb2_grpc.ThreadServiceStub(self._calls.channel)
        self._session = session_pb2_grpc.SessionServiceStub(self._calls.channel)

    async def close(self) -> None:
        """Close the connection."""
        await self._calls.close()

    async def list_threads(
        self, domain: str, workspace: str, page_size: int, page_token: str
    ) -> threads_pb2.ListThreadsResponse:
        """Return one page of threads, newest first."""
        request = threads_pb2.ListThreadsRequest(
            domain=domain, workspace=workspace, page_size=page_size, page_token=page_token
        )
        return await self._call(self._threads.ListThreads, request)

    async def create_thread(
        self,
        domain: str,
        workspace: str,
        thread_id: str,
        title: str,
        channel: str,
        created_by: str,
        metadata: bytes,
        *,
        caller_can_repeat: bool,
    ) -> threads_pb2.CreateThreadResponse:
        """Make a thread, or return the one that has this id; `caller_can_repeat`: the caller knows the id."""
        request = threads_pb2.CreateThreadRequest(
            domain=domain,
            workspace=workspace,
            thread_id=thread_id,
            title=title,
            channel=channel,
            created_by=created_by,
            metadata=metadata,
        )
        return await self._call(self._threads.CreateThread, request, caller_can_repeat=caller_can_repeat)

    async def get_thread(self, domain: str, workspace: str, thread_id: str) -> threads_pb2.Thread:
        """Return a thread."""
        request = threads_pb2.GetThreadRequest(domain=domain, workspace=workspace, thread_id=thread_id)
        answer = await self._call(self._threads.GetThread, request)
        return answer.thread

    async def list_messages(
        self, domain: str, workspace: str, thread_id: str, page_size: int, page_token: str
    ) -> threads_pb2.ListThreadMessagesResponse:
        """Return one page of a thread's messages, oldest first."""
        request = threads_pb2.ListThreadMessagesRequest(
            domain=domain, workspace=workspace, thread_id=thread_id, page_size=page_size, page_token=page_token
        )
        return await self._call(self._threads.ListThreadMessages, request)

    async def post_message(
        self, topic: str, message_id: str, client_id: str, data: bytes, thread_id: str, *, caller_can_repeat: bool
    ) -> session_pb2.PublishMessageResponse:
        """Publish a message of a thread; the id makes repeating safe, also for the caller if it knows the id."""
        request = session_pb2.PublishMessageRequest(
            topic=topic, type="chat_message", id=message_id, client_id=client_id, data=data, thread_id=thread_id
        )
        return await self._call(self._session.PublishMessage, request, caller_can_repeat=caller_can_repeat)

    async def _call(self, method: Callable[..., Awaitable[R]], request: Any, *, caller_can_repeat: bool = True) -> R:
        """Make a call; every call here is idempotent, though the caller may not know the id by which it is."""
        try:
            return await self._calls.repeatable(method, request, caller_can_repeat=caller_can_repeat)
        except TidewireError as error:
            raise _translated(error) from None


def _translated(error: TidewireError) -> ThreadServiceError:
    kind = _KINDS.get(type(error))
    if kind is None:
        return ThreadServiceError("server_error", "Internal server error", 500, None)
    words = str(error)
    if isinstance(error, (ServiceTimeout, ServiceUnavailable)):
        words += " (safe to repeat)" if error.safe_to_repeat else " (repeating may do it twice)"
    error_type, code, retry_after_ms = kind
    return ThreadServiceError(error_type, words[:1].upper() + words[1:], code, retry_after_ms)
