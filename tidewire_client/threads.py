"""The threads of a workspace, for back ends: named conversations, and what was said in them.

A message is posted to a thread with `Channels.publish(thread.channel, ..., thread_id=thread.id)`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from tidewire.session.v1 import threads_pb2, threads_pb2_grpc

from service_runtime.grpc_channel import ClientTls
from tidewire_client.channels import DEFAULT_ATTEMPT_S, DEFAULT_DEADLINE_S
from tidewire_client.message import Data, Message, data_bytes, message_of, time_of
from tidewire_client.service_calls import ServiceCalls, ServiceClient


@dataclass(frozen=True, slots=True)
class Thread:
    """A named conversation.

    Attributes:
        id: Its id.
        title: For people.
        channel: Where its messages go.
        created_by: Who made it.
        create_time: When, in UTC.
        message_count: How many messages it has.
        last_message_time: When the last one was stored, in UTC; None: there is none yet.
        metadata: JSON text of an object of the maker's own; may be empty.
    """

    id: str
    title: str
    channel: str
    created_by: str
    create_time: datetime
    message_count: int
    last_message_time: datetime | None
    metadata: bytes


@dataclass(frozen=True, slots=True)
class ThreadPage:
    """Threads, newest first; the token of the next page (empty: this was the last); how many there are in all."""

    threads: tuple[Thread, ...]
    next_page_token: str
    total: int


@dataclass(frozen=True, slots=True)
class ThreadMessagePage:
    """Messages, oldest first; the token of the next page (empty: this was the last); how many there are in all."""

    messages: tuple[Message, ...]
    next_page_token: str
    total: int


class Threads(ServiceClient):
    """The threads of one workspace; `async with` closes the connection at the end. Permission: `threads`.

    Args:
        session_target: gRPC target of the session services.
        token: The caller's credential: an API key or the service token.
        domain: Whose threads.
        workspace: Whose threads.
        credentials: For TLS: fixed ones, or `TlsFiles`, which are read again when they change; None: plain text.
        deadline_s: For each call, repeats included, in seconds.
        attempt_s: For each attempt, in seconds.
    """

    def __init__(
        self,
        session_target: str,
        *,
        token: str,
        domain: str,
        workspace: str,
        credentials: ClientTls | None = None,
        deadline_s: float = DEFAULT_DEADLINE_S,
        attempt_s: float = DEFAULT_ATTEMPT_S,
    ) -> None:
        super().__init__(
            ServiceCalls(
                session_target,
                service="session",
                token=token,
                credentials=credentials,
                deadline_s=deadline_s,
                attempt_s=attempt_s,
            )
        )
        self._stub = threads_pb2_grpc.ThreadServiceStub(self._calls.channel)
        self._domain = domain
        self._workspace = workspace

    async def create(
        self,
        *,
        created_by: str,
        title: str = "",
        thread_id: str | None = None,
        channel: str = "",
        metadata: Data = b"",
    ) -> Thread:
        """Make a thread, or return the one that has this id. Idempotent by `thread_id`.

        Args:
            created_by: Who makes it: 1 to 64 of `A-Z a-z 0-9 _ -`.
            title: For people: up to 256 characters.
            thread_id: 1 to 64 of `A-Z a-z 0-9 _ -`; None: one is made, and used for every attempt.
            channel: Where its messages go; empty: `thread:<thread_id>`.
            metadata: A JSON object of the maker's own; bytes are stored as they are.
        """
        request = threads_pb2.CreateThreadRequest(
            thread_id=thread_id or secrets.token_urlsafe(12),
            domain=self._domain,
            workspace=self._workspace,
            title=title,
            channel=channel,
            created_by=created_by,
            metadata=data_bytes(metadata),
        )
        answer = await self._calls.repeatable(self._stub.CreateThread, request, caller_can_repeat=thread_id is not None)
        return _thread(answer.thread)

    async def get(self, thread_id: str) -> Thread:
        """Return a thread.

        Raises:
            NotFound: There is none with this id.
        """
        request = threads_pb2.GetThreadRequest(domain=self._domain, workspace=self._workspace, thread_id=thread_id)
        return _thread((await self._calls.repeatable(self._stub.GetThread, request)).thread)

    async def list_page(self, *, page_size: int = 0, page_token: str = "") -> ThreadPage:
        """Return one page of threads, newest first; `page_size` 1 to 1000, or 0 for the service's own."""
        request = threads_pb2.ListThreadsRequest(
            domain=self._domain, workspace=self._workspace, page_size=page_size, page_token=page_token
        )
        answer = await self._calls.repeatable(self._stub.ListThreads, request)
        return ThreadPage(tuple(map(_thread, answer.threads)), answer.next_page_token, answer.total)

    async def messages_page(self, thread_id: str, *, page_size: int = 0, page_token: str = "") -> ThreadMessagePage:
        """Return one page of a thread's messages, oldest first; `page_size` 1 to 1000, or 0 for the service's own."""
        request = threads_pb2.ListThreadMessagesRequest(
            domain=self._domain,
            workspace=self._workspace,
            thread_id=thread_id,
            page_size=page_size,
            page_token=page_token,
        )
        answer = await self._calls.repeatable(self._stub.ListThreadMessages, request)
        return ThreadMessagePage(tuple(map(message_of, answer.messages)), answer.next_page_token, answer.total)


def _thread(thread: threads_pb2.Thread) -> Thread:
    return Thread(
        thread.thread_id,
        thread.title,
        thread.channel,
        thread.created_by,
        time_of(thread.create_time_ms),
        thread.message_count,
        time_of(thread.last_message_time_ms) if thread.last_message_time_ms else None,
        thread.metadata,
    )
