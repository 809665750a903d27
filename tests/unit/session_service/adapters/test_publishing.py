"""Messages of back ends: checked here, and answered when they are stored."""

from __future__ import annotations

import asyncio

import pytest

from session_service.adapters.publishing import Publisher
from session_service.core.errors import EngineTimeout, InvalidField, LimitExceeded
from session_service.core.model import NewMessage
from session_service.core.topic import broadcast_topic, inbox_topic
from tests.unit.session_service.fakes import TOPIC
from tests.unit.session_service.memory_engine import MemoryEngine


@pytest.fixture
def engine() -> MemoryEngine:
    return MemoryEngine()


@pytest.fixture
def publisher(engine: MemoryEngine) -> Publisher:
    return Publisher(engine, 100)


def a_message(**fields: object) -> NewMessage:
    return NewMessage(TOPIC, "chat_message", "m-1", "alice", b"{}")._replace(**fields)  # type: ignore[arg-type]


async def test_a_good_message_is_stored(publisher: Publisher) -> None:
    assert (await publisher.publish_checked(a_message())).offset == 1
    assert (await publisher.publish_checked(a_message())).duplicate


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "direct_message", "topic": inbox_topic("tests", "w1", "bob")},
        {"type": "broadcast", "topic": broadcast_topic("tests", "w1")},
        {"type": "agent_status", "thread_id": "t-1"},
    ],
)
async def test_every_kind_of_channel_has_its_types(publisher: Publisher, fields: dict[str, object]) -> None:
    assert (await publisher.publish_checked(a_message(**fields))).offset == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"topic": "nonsense"}, "topic"),
        ({"client_id": "a b"}, "client_id"),
        ({"id": ""}, "id"),
        ({"thread_id": "a b"}, "thread_id"),
        ({"type": "broadcast"}, "type"),
        ({"data": b"[]"}, "data"),
        ({"data": b"\xff"}, "data"),
    ],
)
async def test_bad_fields_are_named(publisher: Publisher, fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        await publisher.publish_checked(a_message(**fields))
    assert caught.value.field == field


async def test_what_is_too_large_is_refused(publisher: Publisher) -> None:
    with pytest.raises(LimitExceeded):
        await publisher.publish_checked(a_message(data=b'{"a":"' + b"x" * 100 + b'"}'))


async def test_what_was_not_stored_is_an_error(publisher: Publisher, engine: MemoryEngine) -> None:
    engine.fault = EngineTimeout()
    with pytest.raises(EngineTimeout):
        await publisher.publish_checked(a_message())


async def test_a_caller_that_gave_up_harms_nobody(publisher: Publisher, engine: MemoryEngine) -> None:
    engine.held = True
    publishing = asyncio.create_task(publisher.publish_checked(a_message()))
    await asyncio.sleep(0)
    publishing.cancel()
    await asyncio.wait([publishing])
    engine.release()
    assert (await publisher.publish_checked(a_message())).duplicate
