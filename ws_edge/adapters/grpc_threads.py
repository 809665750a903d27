"""Calls of the thread service, with deadlines and retries, and its faults as HTTP knows them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
from tidewire.session.v1 import session_pb2, session_pb2_grpc, threads_pb2, threads_pb2_grpc

from service_runtime.grpc_channel import bearer
from service_runtime.grpc_errors import error_info
from tidewire_client.retry import call_with_retry

R = TypeVar("R")

_STATUS = {
    grpc.StatusCode.NOT_FOUND: ("not_found", 404, None),
    grpc.StatusCode.INVALID_ARGUMENT: ("invalid_format", 400, None),
    grpc.StatusCode.RESOURCE_EXHAUSTED: ("unavailable", 503, 1000),
    grpc.StatusCode.DEADLINE_EXCEEDED: ("timeout", 504, 1000),
    grpc.StatusCode.UNAVAILABLE: ("unavailable", 503, 1000),
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
        channel: To the session services.
        service_token: The credential of services; the caller's key was already checked.
        deadline_s: For each call, retries included, in seconds.
        backoff: Returns the seconds to wait before the n-th repeat.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        service_token: str,
        deadline_s: float,
        backoff: Callable[[int], float],
    ) -> None:
        self._threads = threads_pb2_grpc.ThreadServiceStub(channel)
        self._session = session_pb2_grpc.SessionServiceStub(channel)
        self._metadata = bearer(service_token)
        self._deadline_s = deadline_s
        self._backoff = backoff

    async def list_threads(
        self, domain: str, workspace: str, page_size: int, page_token: str
    ) -> threads_pb2.ListThreadsResponse:
        """Return one page of threads, newest first."""
        request = threads_pb2.ListThreadsRequest(
            domain=domain, workspace=workspace, page_size=page_size, page_token=page_token
        )
        return await self._call(lambda t: self._threads.ListThreads(request, metadata=self._metadata, timeout=t))

    async def create_thread(
        self,
        domain: str,
        workspace: str,
        thread_id: str,
        title: str,
        channel: str,
        created_by: str,
        metadata: bytes,
    ) -> threads_pb2.CreateThreadResponse:
        """Make a thread, or return the one that has this id."""
        request = threads_pb2.CreateThreadRequest(
            domain=domain,
            workspace=workspace,
            thread_id=thread_id,
            title=title,
            channel=channel,
            created_by=created_by,
            metadata=metadata,
        )
        return await self._call(lambda t: self._threads.CreateThread(request, metadata=self._metadata, timeout=t))

    async def get_thread(self, domain: str, workspace: str, thread_id: str) -> threads_pb2.Thread:
        """Return a thread."""
        request = threads_pb2.GetThreadRequest(domain=domain, workspace=workspace, thread_id=thread_id)
        answer = await self._call(lambda t: self._threads.GetThread(request, metadata=self._metadata, timeout=t))
        return answer.thread

    async def list_messages(
        self, domain: str, workspace: str, thread_id: str, page_size: int, page_token: str
    ) -> threads_pb2.ListThreadMessagesResponse:
        """Return one page of a thread's messages, oldest first."""
        request = threads_pb2.ListThreadMessagesRequest(
            domain=domain, workspace=workspace, thread_id=thread_id, page_size=page_size, page_token=page_token
        )
        return await self._call(lambda t: self._threads.ListThreadMessages(request, metadata=self._metadata, timeout=t))

    async def post_message(
        self, topic: str, message_id: str, client_id: str, data: bytes, thread_id: str
    ) -> session_pb2.PublishMessageResponse:
        """Publish a message of a thread; the id makes repeating safe."""
        request = session_pb2.PublishMessageRequest(
            topic=topic, type="chat_message", id=message_id, client_id=client_id, data=data, thread_id=thread_id
        )
        return await self._call(lambda t: self._session.PublishMessage(request, metadata=self._metadata, timeout=t))

    async def _call(self, attempt: Callable[[float], Awaitable[R]]) -> R:
        """Call, and repeat while the service is away and time is left. Every call here is idempotent."""
        try:
            return await call_with_retry(attempt, self._deadline_s, backoff=self._backoff)
        except grpc.aio.AioRpcError as exc:
            raise _translated(exc) from None


def _translated(exc: grpc.aio.AioRpcError) -> ThreadServiceError:
    error_type, code, retry_after_ms = _STATUS.get(exc.code(), ("server_error", 500, None))
    info = error_info(exc)
    known = info is not None and code in (400, 404, 503)
    words = exc.details() or "" if known else "The session service did not answer"
    if error_type == "server_error":
        words = "Internal server error"
    return ThreadServiceError(error_type, words, code, retry_after_ms)
