"""Commands that carry a context: their spans, what ends them, and what goes on with the context."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tidewire.session.v1 import edge_stream_pb2 as pb

from service_runtime.tracing.traceparent import TraceParent, read_traceparent
from service_runtime.tracing.work import Kind, Work, current_work
from session_service.adapters import tracing as traced
from session_service.adapters.edge_stream.commands import EdgeCommands
from session_service.adapters.edge_stream.outbox import EdgeOutbox
from session_service.adapters.edge_stream.queries import EdgeQueries
from session_service.adapters.publishing import Publisher
from session_service.adapters.tracing import TracedAppends, TracedDeliveries, TracedEdgeCommands, TracedReplies
from session_service.core.errors import EngineUnavailable, SessionError
from session_service.core.model import NewMessage, Stored
from session_service.core.sessions import Edge
from tests.support.fake_tracer import FakeTracer, fake_tracing
from tests.unit.session_service.edge_world import EdgeWorld, Stream
from tests.unit.session_service.fakes import TOPIC, a_message

EDGES = TraceParent("a" * 32, "b" * 16, True)


class TracedWorld(EdgeWorld):
    """Everything behind the streams, with traces."""

    def __init__(self) -> None:
        self.tracer = FakeTracer()
        self.tracing = fake_tracing(self.tracer)
        self.deliveries = TracedDeliveries(self.tracing)
        super().__init__(framed_delivery=self.deliveries.framed)
        self.publisher = Publisher(TracedAppends(self.engine, self.deliveries, "memory"), 1000)

    def make_commands(self, edge: Edge, outbox: EdgeOutbox) -> EdgeCommands:
        return TracedEdgeCommands(
            self.tracing,
            TracedReplies(outbox, self.metrics),
            live=self.live,
            publisher=self.publisher,
            queries=EdgeQueries(self.queries),
            edge=edge,
            new_id=self.new_id,
        )


def a_publish(message_id: str = "m1") -> pb.Publish:
    return pb.Publish(topic=TOPIC, type="chat_message", id=message_id, data=b"{}")


async def member(world: TracedWorld) -> Stream:
    stream = await world.session()
    await stream.join()
    assert world.tracer.spans == []
    return stream


async def test_a_publish_is_followed_to_the_engine_and_to_the_edge() -> None:
    async with TracedWorld() as world:
        stream = await member(world)
        await stream.ask(1, publish=a_publish(), traceparent=str(EDGES))
        events = await stream.settled()
    tracer = world.tracer
    assert tracer.open() == []
    executed, stored, sent = (tracer.one(name) for name in ("session.publish", "engine.append", "session.deliver"))
    assert (executed.under, executed.attributes) == (EDGES, {"edge": "edge-1", "connection": 1})
    assert (stored.under, sent.under) == (executed.parent, executed.parent)
    assert stored.attributes["offset"] == sent.attributes["offset"] == 1
    (delivery,) = [event for event in events if event.HasField("delivery")]
    assert read_traceparent(delivery.traceparent) == sent.parent


async def test_what_carries_nothing_is_not_traced() -> None:
    async with TracedWorld() as world:
        stream = await member(world)
        await stream.ask(1, publish=a_publish(), traceparent="words")
        await stream.publish()
        events = await stream.settled()
    assert world.tracer.spans == []
    assert [event.traceparent for event in events if event.HasField("delivery")] == ["", ""]


async def test_what_is_not_done_has_failed() -> None:
    async with TracedWorld() as world:
        stream = await member(world)
        world.engine.fault = EngineUnavailable("away")
        await stream.ask(1, publish=a_publish(), traceparent=str(EDGES))
    assert world.tracer.one("session.publish").ends == ["failed"]
    assert world.tracer.one("engine.append").ends == ["EngineUnavailable"]


async def test_what_waits_for_a_join_is_one_span_that_ends_when_it_is_done() -> None:
    async with TracedWorld() as world:
        stream = await world.session()
        world.engine.held = True
        join = stream.send(1, join=pb.Join(topic=TOPIC), traceparent=str(EDGES))
        leave = stream.send(1, leave=pb.Leave(topic=TOPIC), traceparent=str(EDGES))
        assert sorted(world.tracer.open()) == ["session.join", "session.leave"]
        world.engine.release()
        await stream.answer(join)
        await stream.answer(leave)
    assert world.tracer.open() == []
    assert world.tracer.names == ["session.join", "session.leave"]


async def test_what_was_not_answered_ends_with_the_stream() -> None:
    async with TracedWorld() as world:
        stream = await member(world)
        world.engine.held = True
        stream.send(1, publish=a_publish(), traceparent=str(EDGES))
        await stream.end()
        assert world.tracer.open() == ["session.publish", "engine.append"], "the engine has it still"
        world.engine.release()
    assert world.tracer.open() == []
    assert world.tracer.one("session.publish").ends == ["stream ended"]


async def test_what_wants_no_answer_ends_at_once() -> None:
    async with TracedWorld() as world:
        stream = await member(world)
        stream.send(1, silent=True, acknowledge=pb.Acknowledge(topic=TOPIC), traceparent=str(EDGES))
    assert world.tracer.one("session.acknowledge").ends == [""]


class Engine:
    """Notes whose work it does."""

    def __init__(self) -> None:
        self.works: list[Work | None] = []

    def append(self, message: NewMessage, on_stored: Callable[[Stored | SessionError], None]) -> None:
        self.works.append(current_work())
        on_stored(Stored("e1", 1, 0, False))


def test_what_the_engine_begins_belongs_to_no_work_and_what_its_answer_does_belongs_to_it() -> None:
    tracing, engine, works = fake_tracing(FakeTracer()), Engine(), list[Work | None]()
    appends = TracedAppends(engine, TracedDeliveries(tracing), "fake")
    work = tracing.begin("work", Kind.SERVER, None)
    with work.active():
        appends.append(NewMessage(TOPIC, "chat_message", "m", "alice", b"{}"), lambda _: works.append(current_work()))
    assert (engine.works, works) == ([None], [work])


def test_of_too_many_that_are_expected_the_oldest_go_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traced, "MAX_EXPECTED", 1)
    tracer = FakeTracer()
    tracing = fake_tracing(tracer)
    deliveries, work = TracedDeliveries(tracing), tracing.begin("work", Kind.SERVER, None)
    for number in (1, 2):
        deliveries.expect(NewMessage(TOPIC, "chat_message", f"m-{number}", "alice", b"{}"), work)
    for number in (1, 2):
        deliveries.framed(a_message(number))
    assert [span.attributes["offset"] for span in tracer.spans if span.name == "session.deliver"] == [2]
