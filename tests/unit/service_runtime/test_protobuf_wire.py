from __future__ import annotations

import pytest
from tidewire.session.v1 import edge_stream_pb2 as pb

from service_runtime.protobuf_wire import record, tag, varint


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 16_383, 16_384, 2**32, 2**63])
def test_a_number_is_read_back_by_the_library(value: int) -> None:
    encoded = tag(pb.Command, "ref") + varint(value)
    assert pb.Command.FromString(encoded) == pb.Command(ref=value)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 70_000])
def test_a_record_in_a_record_is_read_back_by_the_library(size: int) -> None:
    publish = pb.Publish(topic="tests/w1/room", data=b"x" * size)
    encoded = record(tag(pb.Command, "publish"), publish.SerializeToString())
    assert pb.Command.FromString(encoded) == pb.Command(publish=publish)


def test_a_field_that_is_not_there_has_no_tag() -> None:
    with pytest.raises(KeyError):
        tag(pb.Command, "nothing")
