"""What clients send, read from bytes that come in any pieces (RFC 6455 section 5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.websocket_frames import client_frame
from ws_edge.core import websocket_reader as ws

MAX_BYTES = 70_000


def messages_of(pieces: list[bytes], max_bytes: int = MAX_BYTES) -> list[tuple[int, bytes]]:
    """Return what a reader makes of bytes that come in these pieces."""
    reader, found = ws.WebSocketReader(max_bytes), []
    for piece in pieces:
        reader.feed(piece)
        while (message := reader.read()) is not None:
            found.append(tuple(message))
    assert reader.unread == 0
    return found


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Return `data` in pieces."""
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


control = st.tuples(st.sampled_from([ws.CLOSE, ws.PING, ws.PONG]), st.binary(max_size=125))
data_frame = st.tuples(st.sampled_from([ws.TEXT, ws.BINARY]), st.binary(max_size=400))


@given(st.lists(control | data_frame, max_size=8), st.binary(min_size=4, max_size=4), st.lists(st.integers(0, 5000)))
def test_messages_come_out_as_they_were_sent(sent: list[tuple[int, bytes]], mask: bytes, places: list[int]) -> None:
    data = b"".join(client_frame(opcode, payload, mask=mask) for opcode, payload in sent)
    assert messages_of(cut(data, places)) == sent


@given(st.lists(st.tuples(st.binary(max_size=50), st.lists(control, max_size=2)), min_size=2), st.lists(st.integers()))
def test_fragments_are_put_together_around_control_frames(
    parts: list[tuple[bytes, list[tuple[int, bytes]]]], places: list[int]
) -> None:
    data, controls = b"", []
    for at, (part, between) in enumerate(parts):
        last = at == len(parts) - 1
        data += client_frame(ws.CONTINUATION if at else ws.TEXT, part, final=last)
        if not last:
            data += b"".join(client_frame(opcode, payload) for opcode, payload in between)
            controls += between
    assert messages_of(cut(data, places)) == [*controls, (ws.TEXT, b"".join(part for part, _ in parts))]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, MAX_BYTES])
def test_every_form_of_length(size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    frame = client_frame(ws.BINARY, payload)
    for head in range(15):
        assert messages_of([frame[:head], frame[head:]]) == [(ws.BINARY, payload)]


def test_what_was_read_is_not_kept() -> None:
    reader = ws.WebSocketReader(MAX_BYTES)
    reader.feed(client_frame(ws.TEXT, b"a" * 1000) + b"\x81")
    assert reader.read() is not None
    assert reader.read() is None
    assert reader.unread == 1
    assert reader._data == b"\x81"


FIRST = client_frame(ws.TEXT, b"a", final=False)
MALFORMED = {
    "reserved bit": b"\xc1\x80",
    "not masked": b"\x81\x01a",
    "unknown data frame": client_frame(0x3, b"a"),
    "unknown control frame": client_frame(0xB, b"a"),
    "long control frame": client_frame(ws.PING, b"x" * 126),
    "long control frame, by its header": b"\x89\xfe",
    "control frame in fragments": client_frame(ws.PING, b"a", final=False),
    "continuation of nothing": client_frame(ws.CONTINUATION, b"a"),
    "message within a message": FIRST + client_frame(ws.TEXT, b"b"),
    "a length of five in the form of two bytes": b"\x81\xfe\x00\x05" + client_frame(ws.TEXT, b"hello")[2:],
    "a length of two bytes in the form of eight": b"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=list(MALFORMED))
def test_what_breaks_the_protocol(data: bytes) -> None:
    with pytest.raises(ws.MalformedFrame):
        messages_of([data])


@pytest.mark.parametrize(
    "data",
    [
        client_frame(ws.TEXT, b"x" * 1001)[:4],
        client_frame(ws.TEXT, b"x" * 70_000)[:10],
        client_frame(ws.TEXT, b"x" * 600, final=False) + client_frame(ws.CONTINUATION, b"x" * 401),
    ],
    ids=["at once", "by eight bytes of length", "in fragments"],
)
def test_what_is_too_big_is_refused_by_its_header(data: bytes) -> None:
    with pytest.raises(ws.MessageTooBig):
        messages_of([data], max_bytes=1000)


@given(st.binary())
def test_random_bytes_raise_nothing_else(data: bytes) -> None:
    reader = ws.WebSocketReader(1000)
    reader.feed(data)
    try:
        while reader.read() is not None:
            pass
    except ws.ReadError:
        pass


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe8why \xc3\xbc", b"\x0f\xa0", b"\x13\x87"])
def test_good_close_frames(payload: bytes) -> None:
    ws.check_close(payload)


@pytest.mark.parametrize(
    "payload", [b"\x03", b"\x00\x00", b"\x03\xed", b"\x03\xee", b"\x07\xd0", b"\x13\x88", b"\xff\xff", b"\x03\xe8\xff"]
)
def test_bad_close_frames(payload: bytes) -> None:
    with pytest.raises(ws.MalformedFrame):
        ws.check_close(payload)
