"""The gateway and the commands with traces: which frames are spans, what ends them, and what they say."""

from __future__ import annotations

from typing import Any

import pytest
from tidewire.session.v1 import edge_stream_pb2 as pb

from service_runtime.tracing.traceparent import TraceParent, read_traceparent
from service_runtime.tracing.work import Kind, current_work
from tests.support.fake_tracer import FakeTracer, fake_tracing
from tests.unit.ws_edge.fakes import EPOCH, Client, World
from ws_edge.adapters.traced_gateway import OTHER_TYPE, TracedGateway, make_gateway
from ws_edge.adapters.traced_stream import TracedCommands
from ws_edge.core.gateway import Gateway
from ws_edge.core.ports import Answer, Failed, FailureKind, OnAnswer, Position, Published

CALLERS = TraceParent("a" * 32, "b" * 16, True)


class TracedWorld(World):
    """A traced gateway in a world of fakes."""

    def __init__(self, tracer: FakeTracer, ratio: float = 1.0, **more: Any) -> None:
        self.tracer = tracer
        self.tracing = fake_tracing(tracer, ratio)
        super().__init__(make_gateway=lambda **parts: make_gateway(self.tracing, **parts), **more)

    def adopt(self, client: Client, parent: TraceParent) -> None:
        assert isinstance(self.gateway, TracedGateway)
        self.gateway.adopt(client.connection, parent)


@pytest.fixture
def tracer() -> FakeTracer:
    return FakeTracer()


def test_without_what_traces_it_is_the_gateway_itself() -> None:
    world = World(make_gateway=lambda **parts: make_gateway(None, **parts))
    assert type(world.gateway) is Gateway


async def test_a_frame_is_a_span_that_names_ids_only(tracer: FakeTracer) -> None:
    world = TracedWorld(tracer)
    client = await world.authenticated()
    await client.send("ping", {"secret": "words"}, id="mine")
    connect, ping = tracer.spans
    assert (connect.name, connect.kind, connect.attributes["frame_type"]) == ("edge.frame", Kind.SERVER, "connect")
    facts = client.connection.who
    assert ping.attributes == {
        "frame_type": "ping",
        "connection": client.connection.number,
        "session": facts.session_id,
        "key_id": facts.key_id,
    }
    assert ping.under is None
    assert ping.ends == [""]


async def test_frames_of_a_connection_with_a_trace_belong_to_it(tracer: FakeTracer) -> None:
    world = TracedWorld(tracer, ratio=1e-9)
    traced, other = world.client("alice"), world.client("bob")
    world.adopt(traced, CALLERS)
    await traced.connect()
    await other.connect()
    assert [span.under for span in tracer.spans] == [CALLERS]


async def test_frames_of_a_connection_that_is_not_sampled_are_none(tracer: FakeTracer) -> None:
    world = TracedWorld(tracer)
    client = world.client()
    world.adopt(client, CALLERS._replace(sampled=False))
    await client.connect()
    assert tracer.spans == []


async def test_the_ratio_says_how_many_are_stepped_over(tracer: FakeTracer) -> None:
    world = TracedWorld(tracer, ratio=0.25)  # with draws of 0.5 each third frame
    client = await world.authenticated()
    for _ in range(8):
        await client.send("ping")
    assert len(tracer.spans) == 3


async def test_the_trace_of_a_connection_that_has_ended_is_forgotten(tracer: FakeTracer) -> None:
    world = TracedWorld(tracer, ratio=1e-9)
    client = world.client()
    world.adopt(client, CALLERS)
    world.gateway.lost(client.connection)
    world.adopt(client, CALLERS)
    assert isinstance(world.gateway, TracedGateway)
    assert world.gateway._parents == {}


@pytest.mark.parametrize(
    ("text", "frame_type"),
    [(b'{"type": "my-own-words"}', OTHER_TYPE), (b"no json", OTHER_TYPE), (b'{"type": "ping"}', "ping")],
)
async def test_a_type_that_a_client_made_up_is_not_named(tracer: FakeTracer, text: bytes, frame_type: str) -> None:
    world = TracedWorld(tracer)
    client = await world.authenticated()
    await client.send_text(text)
    assert tracer.spans[-1].attributes["frame_type"] == frame_type


async def test_a_refused_frame_has_failed(tracer: FakeTracer) -> None:
    world = TracedWorld(tracer)
    client = await world.authenticated()
    await client.send("join_channel", {"channel": "@nobody"})
    assert tracer.spans[-1].ends == ["channel_error"]


# Commands.


class Sink:
    """Keeps commands."""

    def __init__(self) -> None:
        self.commands: list[pb.Command] = []
        self.waiting: list[OnAnswer] = []

    def ask(self, command: pb.Command, on_answer: OnAnswer) -> None:
        self.commands.append(command)
        self.waiting.append(on_answer)

    def tell(self, command: pb.Command) -> None:
        self.commands.append(command)

    def close_session(self, number: int) -> None:
        self.commands.append(pb.Command(session=number, close_session=pb.CloseSession()))


def a_publish() -> pb.Command:
    return pb.Command(session=3, publish=pb.Publish(topic="d/w/room", id="m1"))


def test_a_command_of_no_work_goes_as_it_is() -> None:
    sink, answers = Sink(), list[Answer]()
    TracedCommands(sink).ask(a_publish(), answers.append)
    TracedCommands(sink).tell(a_publish())
    assert sink.commands == [a_publish(), a_publish()]
    assert sink.waiting == [answers.append]


def test_a_command_of_work_carries_its_span_and_the_work_waits_for_the_answer(tracer: FakeTracer) -> None:
    sink, works = Sink(), list[object]()
    work = fake_tracing(tracer).begin("frame", Kind.SERVER, None)
    with work.active():
        TracedCommands(sink).ask(a_publish(), lambda _: works.append(current_work()))
    work.done()
    command = tracer.one("edge.command")
    assert read_traceparent(sink.commands[0].traceparent) == command.parent
    assert command.attributes == {"command": "publish", "connection": 3}
    assert tracer.open() == ["frame", "edge.command"]
    sink.waiting[0](Published("m1", Position(EPOCH, 1)))
    assert works == [work], "what the answer does belongs to the work"
    assert tracer.open() == []
    assert command.ends == [""]


def test_a_failure_is_an_error_of_the_span(tracer: FakeTracer) -> None:
    sink = Sink()
    work = fake_tracing(tracer).begin("frame", Kind.SERVER, None)
    with work.active():
        TracedCommands(sink).ask(a_publish(), lambda _: None)
    sink.waiting[0](Failed(FailureKind.TIMEOUT, "words", False))
    assert tracer.one("edge.command").ends == ["timeout"]


def test_whoever_takes_the_answer_may_fail_and_the_work_ends(tracer: FakeTracer) -> None:
    def broken(_: Answer) -> None:
        raise RuntimeError

    sink = Sink()
    work = fake_tracing(tracer).begin("frame", Kind.SERVER, None)
    with work.active():
        TracedCommands(sink).ask(a_publish(), broken)
    work.done()
    with pytest.raises(RuntimeError):
        sink.waiting[0](Published("m1", Position(EPOCH, 1)))
    assert tracer.open() == []


def test_what_wants_no_answer_carries_the_work_itself(tracer: FakeTracer) -> None:
    sink = Sink()
    work = fake_tracing(tracer).begin("frame", Kind.SERVER, None)
    with work.active():
        TracedCommands(sink).tell(pb.Command(session=3, acknowledge=pb.Acknowledge(topic="d/w/room")))
    assert read_traceparent(sink.commands[0].traceparent) == work.span.parent
