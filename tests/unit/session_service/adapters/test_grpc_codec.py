"""Events that are framed without being built say the same as those that are."""

from __future__ import annotations

import pytest
from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import message_pb2

from session_service.adapters import grpc_codec as codec
from session_service.core.model import Stored, StoredMessage

TOPIC = "tests/w1/room"


def events(*framed: bytes) -> list[pb.Event]:
    return list(pb.AttachResponse.FromString(b"".join(framed)).events)


@pytest.mark.parametrize("size", [2, 127, 128, 65_536])
def test_a_delivery(size: int) -> None:
    stored = StoredMessage(TOPIC, "chat_message", "m-1", "alice", "epoch", 300, 1_800_000_000_000, b"x" * size)
    expected = pb.Event(delivery=codec.message(stored))
    assert events(codec.framed_delivery(stored), codec.framed(expected)) == [expected, expected]


@pytest.mark.parametrize(("ref", "session"), [(1, 0), (127, 128), (2**40, 2**33)])
@pytest.mark.parametrize("duplicate", [False, True])
def test_the_answer_to_a_publish(ref: int, session: int, duplicate: bool) -> None:
    framed = codec.framed_published(ref, session, TOPIC, "m-1", Stored("epoch", 300, 1_800_000_000_000, duplicate))
    published = pb.Published(
        topic=TOPIC,
        id="m-1",
        position=message_pb2.Position(epoch="epoch", offset=300),
        time_ms=1_800_000_000_000,
        duplicate=duplicate,
    )
    assert events(framed) == [pb.Event(ref=ref, session=session, published=published)]
