"""Sampled work: when its span ends, and what belongs to it."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from service_runtime.tracing.tracing import ticks_outside_work
from service_runtime.tracing.work import Kind, Work, current_work, forget_current_work
from tests.support.fake_tracer import FakeTracer, fake_tracing


@pytest.fixture
def tracer() -> FakeTracer:
    return FakeTracer()


@pytest.fixture
def work(tracer: FakeTracer) -> Work:
    return fake_tracing(tracer).begin("work", Kind.SERVER, None, size=3)


def test_a_span_ends_with_the_last_of_what_it_began(tracer: FakeTracer, work: Work) -> None:
    work.hold()
    work.done()
    assert tracer.open() == ["work"]
    work.error = "late"
    work.done()
    assert tracer.one("work").ends == ["late"]


def test_a_child_belongs_to_its_work(tracer: FakeTracer, work: Work) -> None:
    child = work.child("part", Kind.CLIENT, n=1)
    assert tracer.one("part").under == work.span.parent
    assert child.parent.trace_id == work.span.parent.trace_id
    assert tracer.one("part").attributes == {"n": 1}


def test_what_is_done_meanwhile_belongs_to_it_and_log_lines_name_it(work: Work) -> None:
    assert current_work() is None
    with work.active():
        assert current_work() is work
        bound = structlog.contextvars.get_contextvars()
        assert bound == {"trace_id": work.span.parent.trace_id, "span_id": work.span.parent.span_id}
    assert current_work() is None
    assert structlog.contextvars.get_contextvars() == {}


async def test_a_task_of_the_work_belongs_to_it_until_it_forgets(work: Work) -> None:
    async def body() -> list[Work | None]:
        before = current_work()
        forget_current_work()
        assert structlog.contextvars.get_contextvars() == {}
        return [before, current_work()]

    with work.active():
        task = asyncio.create_task(body())
    assert await task == [work, None]


def test_who_has_no_work_keeps_what_is_bound() -> None:
    with structlog.contextvars.bound_contextvars(own="yes"):
        forget_current_work()
        assert structlog.contextvars.get_contextvars() == {"own": "yes"}


async def test_what_is_done_for_all_belongs_to_no_work(work: Work) -> None:
    seen: asyncio.Future[Work | None] = asyncio.get_running_loop().create_future()
    with work.active():
        ticks_outside_work(asyncio.get_running_loop())(lambda: seen.set_result(current_work()))
    assert await seen is None
