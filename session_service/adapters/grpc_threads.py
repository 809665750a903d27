"""The RPCs of `ThreadService`: named conversations of a workspace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tidewire.session.v1 import threads_pb2 as pb
from tidewire.session.v1 import threads_pb2_grpc

from session_service.adapters import grpc_codec as codec
from session_service.adapters.grpc_caller import Caller, Callers, unary
from session_service.core.errors import InvalidField, ThreadNotFound
from session_service.core.model import Thread
from session_service.core.payload import check_payload
from session_service.core.ports import Engine
from session_service.core.topic import Topic, check_channel, check_name

ACTION: Final = "threads"
DEFAULT_THREADS: Final = 50
DEFAULT_MESSAGES: Final = 100
MAX_PAGE: Final = 1000
MAX_TITLE_CHARACTERS: Final = 256
MAX_METADATA_BYTES: Final = 16_384
MAX_TOKEN_DIGITS: Final = 18


class ThreadServicer(threads_pb2_grpc.ThreadServiceServicer):
    """Threads, for the edge's HTTP API and for back ends.

    Args:
        callers: Lets callers in.
        engine: Where threads are.
        new_id: Makes ids of threads that come without.
    """

    def __init__(self, callers: Callers, engine: Engine, new_id: Callable[[], str]) -> None:
        self.callers = callers
        self._engine = engine
        self._new_id = new_id

    @unary
    async def CreateThread(self, request: pb.CreateThreadRequest, caller: Caller) -> pb.CreateThreadResponse:  # noqa: N802
        """Make a thread, or return the one with its id."""
        thread = self._thread_of(request)
        await caller.require(ACTION, Topic(thread.domain, thread.workspace, thread.channel))
        stored, existed = await self._engine.create_thread(thread)
        return pb.CreateThreadResponse(thread=codec.thread(stored), existed=existed)

    @unary
    async def GetThread(self, request: pb.GetThreadRequest, caller: Caller) -> pb.GetThreadResponse:  # noqa: N802
        """Read a thread."""
        thread = await self._find(request.domain, request.workspace, request.thread_id, caller)
        return pb.GetThreadResponse(thread=codec.thread(thread))

    @unary
    async def ListThreads(self, request: pb.ListThreadsRequest, caller: Caller) -> pb.ListThreadsResponse:  # noqa: N802
        """List threads by page, newest first."""
        _check_place(request.domain, request.workspace)
        size, token = _page(request.page_size, request.page_token, DEFAULT_THREADS)
        await caller.require(ACTION, Topic(request.domain, request.workspace, "*"))
        page = await self._engine.threads(request.domain, request.workspace, size, token)
        return pb.ListThreadsResponse(
            threads=[codec.thread(thread) for thread in page.threads],
            next_page_token=_token(page.next_token),
            total=page.total,
        )

    @unary
    async def ListThreadMessages(  # noqa: N802
        self, request: pb.ListThreadMessagesRequest, caller: Caller
    ) -> pb.ListThreadMessagesResponse:
        """List a thread's messages by page, oldest first."""
        size, token = _page(request.page_size, request.page_token, DEFAULT_MESSAGES)
        await self._find(request.domain, request.workspace, request.thread_id, caller)
        page = await self._engine.thread_messages(request.domain, request.workspace, request.thread_id, size, token)
        return pb.ListThreadMessagesResponse(
            messages=codec.messages(page.messages), next_page_token=_token(page.next_token), total=page.total
        )

    async def _find(self, domain: str, workspace: str, thread_id: str, caller: Caller) -> Thread:
        """Return a thread that the caller may see; one that nobody has made looks alike to all who may list."""
        _check_place(domain, workspace)
        check_name("thread_id", thread_id)
        thread = await self._engine.thread(domain, workspace, thread_id)
        if thread is None:
            await caller.require(ACTION, Topic(domain, workspace, f"thread:{thread_id}"))
            raise ThreadNotFound(thread_id)
        await caller.require(ACTION, Topic(domain, workspace, thread.channel))
        return thread

    def _thread_of(self, request: pb.CreateThreadRequest) -> Thread:
        _check_place(request.domain, request.workspace)
        thread_id = request.thread_id or self._new_id()
        channel = request.channel or f"thread:{thread_id}"
        check_name("thread_id", thread_id)
        check_channel("channel", channel)
        if channel.startswith(("*", "@")):
            raise InvalidField("channel", "broadcasts and inboxes hold no threads")
        if len(request.title) > MAX_TITLE_CHARACTERS:
            raise InvalidField("title", f"at most {MAX_TITLE_CHARACTERS} characters")
        check_name("created_by", request.created_by)
        if request.metadata:
            check_payload("metadata", request.metadata, MAX_METADATA_BYTES)
        return Thread(
            thread_id=thread_id,
            domain=request.domain,
            workspace=request.workspace,
            title=request.title,
            channel=channel,
            created_by=request.created_by,
            create_time_ms=0,
            message_count=0,
            last_message_time_ms=0,
            metadata=request.metadata,
        )


def _check_place(domain: str, workspace: str) -> None:
    check_name("domain", domain)
    check_name("workspace", workspace)


def _page(size: int, token: str, default: int) -> tuple[int, int]:
    if not 0 <= size <= MAX_PAGE:
        raise InvalidField("page_size", f"1 to {MAX_PAGE}, or 0 for {default}")
    if token and not (token.isascii() and token.isdigit() and len(token) <= MAX_TOKEN_DIGITS):
        raise InvalidField("page_token", "must be that of the page before")
    return size or default, int(token or 0)


def _token(number: int) -> str:
    return str(number) if number else ""
