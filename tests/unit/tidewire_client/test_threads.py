from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc
import pytest
from tidewire.session.v1 import message_pb2, threads_pb2

from tests.unit.tidewire_client.peers import HANG, Fail, ScriptedService, serving
from tidewire_client.errors import NotFound, ServiceTimeout
from tidewire_client.threads import Thread, Threads

STORED = threads_pb2.Thread(
    thread_id="t-1",
    domain="d",
    workspace="w",
    title="Plans",
    channel="thread:t-1",
    created_by="ann",
    create_time_ms=1000,
)
VALUE = Thread("t-1", "Plans", "thread:t-1", "ann", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), 0, None, b"")


@asynccontextmanager
async def threads_of(service: ScriptedService, **more: float) -> AsyncIterator[Threads]:
    async with serving(service) as target, Threads(target, token="t", domain="d", workspace="w", **more) as threads:
        yield threads


async def test_an_id_is_made_before_the_first_attempt() -> None:
    service = ScriptedService(Fail(grpc.StatusCode.UNAVAILABLE), threads_pb2.CreateThreadResponse(thread=STORED))
    async with threads_of(service) as threads:
        assert await threads.create(title="Plans", created_by="ann", metadata={"n": 1}) == VALUE
    first, second = service.requests
    assert first == second
    assert first.thread_id
    assert (first.domain, first.workspace, first.title, first.metadata) == ("d", "w", "Plans", b'{"n":1}')


async def test_a_thread_is_read() -> None:
    spoken = threads_pb2.Thread(thread_id="t-2", message_count=3, last_message_time_ms=2000)
    service = ScriptedService(
        threads_pb2.GetThreadResponse(thread=spoken), Fail(grpc.StatusCode.NOT_FOUND, "THREAD_NOT_FOUND")
    )
    async with threads_of(service) as threads:
        thread = await threads.get("t-2")
        with pytest.raises(NotFound):
            await threads.get("t-3")
    assert (thread.message_count, thread.last_message_time) == (3, datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC))


async def test_pages_of_threads_and_of_messages() -> None:
    message = message_pb2.Message(topic="d/w/thread:t-1", id="m")
    service = ScriptedService(
        threads_pb2.ListThreadsResponse(threads=[STORED], next_page_token="n", total=9),
        threads_pb2.ListThreadMessagesResponse(messages=[message], total=1),
    )
    async with threads_of(service) as threads:
        page = await threads.list_page(page_size=1, page_token="p")
        said = await threads.messages_page("t-1")
    assert (page.threads, page.next_page_token, page.total) == ((VALUE,), "n", 9)
    assert ([m.id for m in said.messages], said.next_page_token, said.total) == (["m"], "", 1)
    assert (service.requests[0].page_size, service.requests[0].page_token) == (1, "p")
    assert service.requests[1].thread_id == "t-1"


@pytest.mark.parametrize(("thread_id", "safe"), [("t-1", True), (None, False)])
async def test_the_final_error_says_if_the_caller_can_repeat(thread_id: str | None, safe: bool) -> None:
    async with threads_of(ScriptedService(HANG), deadline_s=0.3, attempt_s=0.1) as threads:
        with pytest.raises(ServiceTimeout) as raised:
            await threads.create(created_by="ann", thread_id=thread_id)
    assert raised.value.safe_to_repeat is safe
