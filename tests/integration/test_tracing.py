"""Traces of three real services, collected over OTLP: one publish is followed from the frame to the engine and back."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tidewire.session.v1 import session_pb2, session_pb2_grpc

from tests.support.ports import free_port
from tests.support.protocol_client import Clients, ProtocolClient, new_name
from tests.support.services import Gateway
from tests.support.target import Target
from tests.support.trace_collector import Collected, TraceCollector, collecting
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SERVICES = {"tidewire-auth", "tidewire-edge", "tidewire-session"}
# Traces are on, and hardly anything is traced that nobody asks for.
HARDLY_ANY = 1e-9


class Caller:
    """Whoever begins a trace before it connects."""

    def __init__(self) -> None:
        self.trace_id = secrets.token_hex(16)
        self.span_id = secrets.token_hex(8)

    def header(self, *, sampled: bool = True) -> str:
        return f"00-{self.trace_id}-{self.span_id}-0{int(sampled)}"

    def options(self, *, sampled: bool = True) -> dict[str, Any]:
        """Return how a client connects with it."""
        return {"additional_headers": {"traceparent": self.header(sampled=sampled)}}


@pytest.fixture
def collector() -> Iterator[TraceCollector]:
    with collecting() as running:
        yield running


@pytest.fixture
def caller() -> Caller:
    return Caller()


def traced(directory: Path, endpoint: str, ratio: float = HARDLY_ANY, **edge: object) -> Gateway:
    flags: dict[str, object] = {"trace-endpoint": endpoint, "trace-ratio": ratio, "log-format": "json"}
    return Gateway(directory, auth=flags, session=flags, edge={**flags, **edge})


@pytest.fixture
async def gateway(tmp_path: Path, collector: TraceCollector) -> AsyncIterator[Gateway]:
    made = traced(tmp_path, collector.endpoint)
    async with made:
        yield made


async def find(collector: TraceCollector, caller: Caller, name: str, **attributes: Any) -> Collected:
    return await asyncio.to_thread(collector.find, caller.trace_id, name, **attributes)


async def test_one_publish_is_followed_to_the_engine_and_back(
    gateway: Gateway, collector: TraceCollector, caller: Caller
) -> None:
    content, channel = f"content-{secrets.token_hex(8)}", new_name("room")
    key = await asyncio.to_thread(gateway.key_admin().create)
    async with Clients(Target.of(gateway)) as clients:
        bob = await clients.member(channel)
        alice = await clients.connected(new_name("alice"), options=caller.options(), api_key=key.api_key)
        await alice.join(channel)
        confirmed = await alice.publish(channel, content)
        await bob.take("chat_message", content=content)
        where = {"epoch": confirmed["data"]["epoch"], "offset": confirmed["data"]["offset"]}

        frame = await find(collector, caller, "edge.frame", frame_type="chat_message")
        command = await find(collector, caller, "edge.command", command="publish")
        executed = await find(collector, caller, "session.publish")
        stored = await find(collector, caller, "engine.append", **where)
        sent = await find(collector, caller, "session.deliver", **where)
        delivered = await find(collector, caller, "edge.deliver", **where)

    assert (frame.service, frame.parent_id, frame.kind) == ("tidewire-edge", caller.span_id, "server")
    assert frame.attributes["tidewire.key_id"] == key.key_id
    assert (command.service, command.parent_id) == ("tidewire-edge", frame.span_id)
    assert (executed.service, executed.parent_id) == ("tidewire-session", command.span_id)
    assert (stored.service, stored.parent_id) == ("tidewire-session", executed.span_id)
    assert stored.attributes["tidewire.engine"] == "sqlite"
    assert (sent.service, sent.parent_id) == ("tidewire-session", executed.span_id)
    assert (delivered.service, delivered.parent_id) == ("tidewire-edge", sent.span_id)

    spans = collector.spans
    assert {span.trace_id for span in spans} == {caller.trace_id}, "nobody else asked"
    assert not [span for span in spans if span.failed]
    for secret in (content, channel, alice.client_id, clients.workspace, key.api_key, gateway.service_token):
        assert not [span.name for span in spans if secret.encode() in span.raw], "ids only"


async def test_a_key_that_is_verified_is_followed_to_the_auth_service(
    gateway: Gateway, collector: TraceCollector, caller: Caller
) -> None:
    key = await asyncio.to_thread(gateway.key_admin().create)
    async with Clients(Target.of(gateway)) as clients:
        await clients.connected(options=caller.options(), api_key=key.api_key)
        frame = await find(collector, caller, "edge.frame", frame_type="connect")
        method = "tidewire.auth.v1.AuthService/VerifyKeys"

        def both() -> list[Collected]:
            found = [span for span in collector.of_trace(caller.trace_id) if span.name == method]
            return found if len(found) == 2 else []

        await asyncio.to_thread(wait_until, both, what="both sides of the call have come")
        sides = {span.kind: span for span in both()}
    assert (sides["client"].service, sides["client"].parent_id) == ("tidewire-edge", frame.span_id)
    assert (sides["server"].service, sides["server"].parent_id) == ("tidewire-auth", sides["client"].span_id)


async def test_a_back_end_that_publishes_is_followed_too(
    gateway: Gateway, collector: TraceCollector, caller: Caller
) -> None:
    metadata = (("authorization", f"Bearer {gateway.service_token}"), ("traceparent", caller.header()))
    request = session_pb2.PublishMessageRequest(
        topic="tests/w/room", type="chat_message", client_id="server", data=b'{"content": "hi"}'
    )
    async with grpc.aio.insecure_channel(gateway.session.address) as channel:
        stub = session_pb2_grpc.SessionServiceStub(channel)
        await stub.PublishMessage(request, metadata=metadata, timeout=30)
    call = await find(collector, caller, "tidewire.session.v1.SessionService/PublishMessage")
    stored = await find(collector, caller, "engine.append")
    assert (call.parent_id, stored.parent_id) == (caller.span_id, call.span_id)


async def test_a_frame_that_is_refused_has_failed(gateway: Gateway, collector: TraceCollector, caller: Caller) -> None:
    async with Clients(Target.of(gateway)) as clients:
        client = await clients.connected(options=caller.options())
        frame_id = await client.send("chat_message", {"content": "hi"}, channel="nowhere")
        await client.expect_error("channel_error", 404, frame_id=frame_id)
        frame = await find(collector, caller, "edge.frame", frame_type="chat_message")
    assert frame.failed


async def test_all_frames_are_traced_with_a_ratio_of_one_but_those_that_say_no(
    tmp_path: Path, collector: TraceCollector, caller: Caller
) -> None:
    gateway = traced(tmp_path, collector.endpoint, ratio=1.0)
    async with gateway, Clients(Target.of(gateway)) as clients:
        await talk(await clients.connected(options=caller.options(sampled=False)))
        await talk(await clients.connected())
    assert collector.of_trace(caller.trace_id) == []
    roots = [span for span in collector.spans if not span.parent_id]
    frames = [span.attributes["tidewire.frame_type"] for span in roots if span.name == "edge.frame"]
    assert sorted(frames) == ["chat_message", "connect", "join_channel"]
    assert {span.service for span in collector.spans} == SERVICES


async def talk(client: ProtocolClient) -> None:
    channel = new_name("room")
    await client.join(channel)
    await client.publish(channel, "hello")


async def test_log_lines_of_sampled_work_name_the_trace(
    tmp_path: Path, collector: TraceCollector, caller: Caller
) -> None:
    bounds = {"frames-per-second": 1, "frames-burst": 3, "rate-limit-warnings": 0}
    gateway = traced(tmp_path, collector.endpoint, **bounds)
    async with gateway, Clients(Target.of(gateway)) as clients:
        client = await clients.connected(options=caller.options())
        for _ in range(10):
            await client.send("ping")
        await client.take("disconnect", code=4001)
    lines = [json.loads(line) for line in gateway.edge.log().splitlines()]
    (told,) = [line for line in lines if line["event"] == "client is let go"]
    failed = {span.span_id for span in collector.of_trace(caller.trace_id) if span.failed}
    assert told["trace_id"] == caller.trace_id
    assert told["span_id"] in failed
    assert [line["event"] for line in lines if "trace_id" in line] == ["client is let go"]


async def test_nothing_is_traced_unless_a_ratio_is_set(
    tmp_path: Path, collector: TraceCollector, caller: Caller
) -> None:
    gateway = traced(tmp_path, collector.endpoint, ratio=0.0)
    async with gateway, Clients(Target.of(gateway)) as clients:
        await talk(await clients.connected(options=caller.options()))
    assert collector.spans == []


async def test_services_work_and_end_without_a_collector(tmp_path: Path, caller: Caller) -> None:
    gateway = traced(tmp_path, f"http://127.0.0.1:{free_port()}", ratio=1.0)
    async with gateway, Clients(Target.of(gateway)) as clients:
        await talk(await clients.connected(options=caller.options()))
