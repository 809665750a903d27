from datetime import UTC, datetime

import pytest
from tidewire.session.v1 import message_pb2

from tidewire_client.message import Message, Position, data_bytes, message_of, position_of, time_of


def test_a_position_is_read_as_it_is_written() -> None:
    place = Position("b7Qk2xV9", 42)
    assert str(place) == "b7Qk2xV9:42"
    assert Position.parse(str(place)) == place
    assert Position.parse("a:b:7") == Position("a:b", 7)


@pytest.mark.parametrize("text", ["", ":", "42", "e:", ":42", "e:x", "e:-1", "e:٣", "e: 1"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="EPOCH:OFFSET"):
        Position.parse(text)


def test_bytes_are_taken_as_they_are() -> None:
    raw = b'{ "b" : 1.0,\n "a" : 1e400 }'
    assert data_bytes(raw) is raw


def test_a_mapping_becomes_compact_json_in_utf8() -> None:
    assert (
        data_bytes({"content": "gr\u00fc\u00df", "n": [1, None]})
        == '{"content":"gr\u00fc\u00df","n":[1,null]}'.encode()
    )


def test_what_has_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        data_bytes({"n": float("nan")})
    with pytest.raises(TypeError):
        data_bytes({"n": object()})


def test_times_are_exact() -> None:
    assert time_of(1_795_510_800_125) == datetime(2026, 11, 24, 9, 0, 0, 125_000, tzinfo=UTC)


def test_a_message_knows_nothing_of_protobuf() -> None:
    stored = message_pb2.Message(
        topic="tests/w/a/b",
        type="chat_message",
        id="m-1",
        client_id="alice",
        epoch="e1",
        offset=7,
        time_ms=1000,
        data=b'{"content": "hi"}',
    )
    message = message_of(stored)
    assert message == Message(
        "a/b", "chat_message", "m-1", "alice", Position("e1", 7), datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), stored.data
    )
    assert message.json() == {"content": "hi"}
    assert position_of(message_pb2.Position(epoch="e", offset=3)) == Position("e", 3)
