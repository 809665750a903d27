"""Calls of the thread service: repeated, and what HTTP is told when they fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from tidewire.session.v1 import session_pb2, threads_pb2

from tests.unit.tidewire_client.peers import HANG, Fail, ScriptedService, serving
from ws_edge.adapters.grpc_threads import ThreadsClient, ThreadServiceError

AWAY = Fail(grpc.StatusCode.UNAVAILABLE)
REFUSED_FOR_NOW = Fail(grpc.StatusCode.UNAVAILABLE, "ENGINE_UNAVAILABLE")


@asynccontextmanager
async def threads_of(service: ScriptedService, deadline_s: float = 5.0) -> AsyncIterator[ThreadsClient]:
    async with serving(service) as target:
        threads = ThreadsClient(target, None, service_token="t", deadline_s=deadline_s)
        try:
            yield threads
        finally:
            await threads.close()


async def post(threads: ThreadsClient, *, caller_can_repeat: bool = True) -> session_pb2.PublishMessageResponse:
    return await threads.post_message("d/w/c", "m-1", "ann", b"{}", "t-1", caller_can_repeat=caller_can_repeat)


async def test_a_message_is_posted_again_as_it_was() -> None:
    stored = session_pb2.PublishMessageResponse(id="m-1")
    service = ScriptedService(AWAY, REFUSED_FOR_NOW, stored)
    async with threads_of(service) as threads:
        assert await post(threads) == stored
    assert service.requests[0] == service.requests[1] == service.requests[2]


async def test_a_thread_service_that_hangs_gets_another_attempt() -> None:
    service = ScriptedService(HANG, threads_pb2.ListThreadsResponse(total=3))
    async with threads_of(service, deadline_s=0.6) as threads:
        assert (await threads.list_threads("d", "w", 10, "")).total == 3


@pytest.mark.parametrize(
    ("problem", "error_type", "code"),
    [
        (Fail(grpc.StatusCode.NOT_FOUND, "THREAD_NOT_FOUND"), "not_found", 404),
        (Fail(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"), "invalid_format", 400),
        (Fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED"), "unavailable", 503),
        (REFUSED_FOR_NOW, "unavailable", 503),
        (AWAY, "unavailable", 503),
        (HANG, "timeout", 504),
        (Fail(grpc.StatusCode.INTERNAL, "INTERNAL"), "server_error", 500),
        (Fail(grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED"), "server_error", 500),
    ],
)
async def test_every_fault_has_its_http_status(problem: object, error_type: str, code: int) -> None:
    # An attempt that a busy machine cuts at the deadline is a timeout, whatever those before it came to.
    async with threads_of(ScriptedService(problem), deadline_s=0.2 if problem is HANG else 1.0) as threads:
        with pytest.raises(ThreadServiceError) as raised:
            await threads.get_thread("d", "w", "t-1")
    assert (raised.value.error_type, raised.value.code) == (error_type, code)
    assert "driver" not in raised.value.message


@pytest.mark.parametrize(
    ("problem", "caller_can_repeat", "words"),
    [
        (HANG, True, "(safe to repeat)"),
        (HANG, False, "(repeating may do it twice)"),
        (REFUSED_FOR_NOW, False, "(safe to repeat)"),
    ],
)
async def test_the_final_error_says_if_the_caller_can_repeat(
    problem: object, caller_can_repeat: bool, words: str
) -> None:
    async with threads_of(ScriptedService(problem), deadline_s=0.2) as threads:
        with pytest.raises(ThreadServiceError) as raised:
            await post(threads, caller_can_repeat=caller_can_repeat)
    assert raised.value.message.endswith(words)
