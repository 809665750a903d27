"""Frames on the wire, token buckets, outboxes, names, registry, settings of errors."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ws_edge.fakes import World
from ws_edge.core.client_frames import ConnectData, decode_envelope, frame_id_of, is_object
from ws_edge.core.errors import RULES, ErrorType, FrameError
from ws_edge.core.limits import TokenBucket
from ws_edge.core.names import channel_of, is_channel, is_name, topic_of
from ws_edge.core.server_frames import timestamp
from ws_edge.core.websocket_frame import text_frame


@pytest.mark.parametrize(("size", "head"), [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)])
def test_text_frames_have_the_shortest_length_form(size: int, head: int) -> None:
    payload = b"x" * size
    frame = text_frame(payload)
    assert frame[0] == 0x81
    assert len(frame) == head + size
    assert frame.endswith(payload)


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 5)), max_size=50))
def test_a_bucket_never_lets_more_through_than_rate_and_burst(steps: list[tuple[float, int]]) -> None:
    bucket, now, passed = TokenBucket(2, 4, 0.0), 0.0, 0.0
    for pause, amount in steps:
        now += pause
        wait = bucket.take(amount, now)
        if wait:
            now += wait + 1e-6
            assert bucket.take(amount, now) == 0.0
        passed += min(amount, 4)
        assert passed <= 4 + 2 * now + 1e-3


def test_a_rate_of_zero_is_no_limit() -> None:
    bucket = TokenBucket(0, 0, 0.0)
    assert all(bucket.take(10**9, 0.0) == 0.0 for _ in range(10))


@pytest.mark.parametrize(
    ("text", "good"), [("a", True), ("a" * 64, True), ("", False), ("a" * 65, False), ("a\n", False), ("é", False)]
)
def test_names(text: str, good: bool) -> None:
    assert is_name(text) is good


@pytest.mark.parametrize(
    ("text", "good"), [("a/b:c.d@e#f", True), ("@a", False), ("*", False), ("", False), ("a b", False)]
)
def test_channels(text: str, good: bool) -> None:
    assert is_channel(text) is good


def test_a_topic_gives_its_channel_back() -> None:
    assert channel_of(topic_of("d", "w", "a/b/c")) == "a/b/c"


@given(st.integers(0, 4_000_000_000_000))
def test_timestamps_are_rfc3339_with_milliseconds(time_ms: int) -> None:
    parsed = datetime.fromisoformat(timestamp(time_ms))
    assert parsed.tzinfo == UTC
    assert round(parsed.timestamp() * 1000) == time_ms


@given(st.binary(max_size=300))
def test_no_bytes_surprise_the_decoder(text: bytes) -> None:
    problems = []
    try:
        decode_envelope(text)
    except FrameError as problem:
        problems.append(problem.error_type)
    assert set(problems) <= {ErrorType.INVALID_FORMAT}
    frame_id_of(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'{"id":"a"}', "a"),
        (b'{"id":""}', None),
        (b'{"id":1}', None),
        (b"{}", None),
        (b"x", None),
        (b'{"id":"\xff"}', None),
    ],
)
def test_the_id_of_a_refused_frame(text: bytes, found: str | None) -> None:
    assert frame_id_of(text) == found


def test_raw_objects_are_recognised() -> None:
    assert is_object(decode_envelope(b'{"type":"x","data":  {"a":1}}').data)
    assert not is_object(decode_envelope(b'{"type":"x","data":[{}]}').data)


def test_every_error_type_has_a_rule() -> None:
    assert set(RULES) == set(ErrorType)


async def test_the_registry_finds_connections_by_key() -> None:
    world = World()
    first, second = await world.authenticated(), await world.authenticated("bob")
    registry = world.gateway.registry
    assert registry.key_ids() == ["k1"]
    assert registry.remove(first.connection) is True
    assert registry.remove(first.connection) is False
    assert registry.of_key("k1") == [second.connection]
    registry.remove(second.connection)
    assert registry.key_ids() == []
    registry.add(first.connection)
    assert registry.remove(first.connection) is True
    assert registry.get(first.connection.number) is None


def test_the_key_of_a_connect_frame_does_not_print() -> None:
    data = ConnectData("tw_live_id_secret", "chat", "tests", "w")
    assert repr(data) == "ConnectData(domain='tests', workspace='w')"
    envelope = decode_envelope(b'{"type":"connect","data":{"api_key":"secret"}}')
    assert "secret" not in repr(envelope)
