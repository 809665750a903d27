from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc
import pytest
from tidewire.session.v1 import message_pb2, session_pb2

from tests.unit.tidewire_client.peers import HANG, Fail, ScriptedService, serving
from tidewire_client.channels import Broadcasted, Channels, Loss, Member, Published, Receipt, new_message_id
from tidewire_client.errors import InvalidRequest, NotFound, ServiceTimeout
from tidewire_client.message import Position

AWAY = Fail(grpc.StatusCode.UNAVAILABLE)
PLACE = message_pb2.Position(epoch="e1", offset=7)


@asynccontextmanager
async def channels_of(service: ScriptedService, **more: float) -> AsyncIterator[Channels]:
    async with (
        serving(service) as target,
        Channels(target, token="t", client_id="backend", domain="d", workspace="w", **more) as channels,
    ):
        yield channels


def stored(request: session_pb2.PublishMessageRequest) -> session_pb2.PublishMessageResponse:
    return session_pb2.PublishMessageResponse(id=request.id, position=PLACE, time_ms=1000, duplicate=True)


async def test_publish_says_where_the_message_stands() -> None:
    service = ScriptedService(stored)
    async with channels_of(service) as channels:
        published = await channels.publish("a/b", {"content": "hi"}, message_id="m-1", thread_id="t-1")
    assert published == Published("m-1", Position("e1", 7), datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), duplicate=True)
    assert service.requests == [
        session_pb2.PublishMessageRequest(
            topic="d/w/a/b",
            type="channel_message",
            id="m-1",
            client_id="backend",
            data=b'{"content":"hi"}',
            thread_id="t-1",
        )
    ]


async def test_bytes_are_sent_as_they_are() -> None:
    service = ScriptedService(stored)
    async with channels_of(service) as channels:
        await channels.publish("a", b'{ "x" : 1.0 }', message_type="task_update", client_id="other")
    request = service.requests[0]
    assert (request.data, request.type, request.client_id) == (b'{ "x" : 1.0 }', "task_update", "other")


async def test_an_id_is_made_before_the_first_attempt_and_kept_for_all() -> None:
    service = ScriptedService(AWAY, HANG, stored)
    async with channels_of(service, attempt_s=0.2) as channels:
        published = await channels.publish("a", {})
        again = await channels.publish("a", {})
    first, second, third, other = [request.id for request in service.requests]
    assert first == second == third == published.id
    assert 1 <= len(first) <= 64
    assert other == again.id != first


@pytest.mark.parametrize(("message_id", "safe"), [("m-1", True), (None, False)])
async def test_the_final_error_says_if_the_caller_can_repeat(message_id: str | None, safe: bool) -> None:
    async with channels_of(ScriptedService(HANG), deadline_s=0.3, attempt_s=0.1) as channels:
        for call in (channels.publish("a", {}, message_id=message_id), channels.broadcast({}, message_id=message_id)):
            with pytest.raises(ServiceTimeout) as raised:
                await call
            assert raised.value.safe_to_repeat is safe


async def test_a_direct_message_goes_to_the_inbox() -> None:
    service = ScriptedService(stored)
    async with channels_of(service) as channels:
        await channels.send_direct("alice", {"text": "psst"}, message_id="m-1")
    request = service.requests[0]
    assert (request.topic, request.type, request.id) == ("d/w/@alice", "direct_message", "m-1")


async def test_a_broadcast_goes_to_the_workspace() -> None:
    service = ScriptedService(AWAY, lambda r: session_pb2.BroadcastMessageResponse(id=r.id, position=PLACE))
    async with channels_of(service) as channels:
        sent = await channels.broadcast({"n": 1})
    first, second = service.requests
    assert first == second
    assert (first.domain, first.workspace, first.client_id, first.data) == ("d", "w", "backend", b'{"n":1}')
    assert sent == Broadcasted(first.id, Position("e1", 7))


async def test_history_is_a_page_of_values() -> None:
    message = message_pb2.Message(topic="d/w/a", type="chat_message", id="m", epoch="e1", offset=7, data=b"{}")
    service = ScriptedService(
        session_pb2.GetHistoryResponse(
            messages=[message],
            newest=PLACE,
            more=True,
            failure=message_pb2.RECOVERY_FAILURE_HISTORY_EXPIRED,
        )
    )
    async with channels_of(service) as channels:
        page = await channels.history("a", since=Position("e1", 3), limit=5)
        await channels.history("a")
    assert [(m.channel, m.id, m.position) for m in page.messages] == [("a", "m", Position("e1", 7))]
    assert (page.newest, page.more, page.loss) == (Position("e1", 7), True, Loss.HISTORY_EXPIRED)
    first, second = service.requests
    assert (first.topic, first.since.epoch, first.since.offset, first.limit) == ("d/w/a", "e1", 3, 5)
    assert not second.HasField("since")
    assert second.limit == 100


async def test_the_oldest_kept_can_be_asked_for() -> None:
    service = ScriptedService(session_pb2.GetHistoryResponse())
    async with channels_of(service) as channels:
        page = await channels.history("a", since=Position("", 0))
    assert service.requests[0].HasField("since")
    assert page.loss is None


async def test_presence_and_receipt_are_values() -> None:
    member = message_pb2.Member(client_id="alice", connection_type="chat", join_time_ms=1000)
    service = ScriptedService(
        session_pb2.GetPresenceResponse(members=[member]),
        session_pb2.GetReceiptResponse(position=PLACE, written=3, acknowledged=2),
    )
    async with channels_of(service) as channels:
        members = await channels.presence("a")
        receipt = await channels.receipt("a", 7)
    assert members == (Member("alice", "chat", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),)
    assert receipt == Receipt(Position("e1", 7), written=3, acknowledged=2)


async def test_disconnect_says_how_many_were_told() -> None:
    service = ScriptedService(
        session_pb2.DisconnectClientResponse(connections=2), Fail(grpc.StatusCode.NOT_FOUND, "CLIENT_NOT_FOUND")
    )
    async with channels_of(service) as channels:
        assert await channels.disconnect("alice", reason="bye", reconnect=True) == 2
        with pytest.raises(NotFound) as raised:
            await channels.disconnect("bob")
    assert raised.value.reason == "CLIENT_NOT_FOUND"
    request = service.requests[0]
    assert (request.domain, request.workspace, request.client_id) == ("d", "w", "alice")
    assert (request.reason, request.reconnect) == ("bye", True)


async def test_a_field_that_breaks_a_rule_is_named() -> None:
    refusal = Fail(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", {"field": "topic"})
    async with channels_of(ScriptedService(refusal)) as channels:
        with pytest.raises(InvalidRequest) as raised:
            await channels.publish("bad name", {})
    assert raised.value.field == "topic"


def test_message_ids_differ() -> None:
    assert len({new_message_id() for _ in range(100)}) == 100
