"""Frames of RFC 6455 from bytes that come in any pieces (`ws_edge/core/websocket_reader.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.fuzz.references.websocket import End, Reading, read_all
from tests.fuzz.target import Check, Target
from tests.support.websocket_frames import client_frame
from ws_edge.core import websocket_reader as ws

# Bounds of messages to try: below, at and above what each form of length says.
BOUNDS = (10, 125, 126, 200, 70_000)


def check(data: bytes) -> None:
    """Read what comes behind two bytes, in pieces that these two choose."""
    if len(data) < 2:
        return
    bound, step, stream = BOUNDS[data[0] % len(BOUNDS)], data[1] % 16 or len(data), data[2:]
    expected = read_all(stream, bound)
    pieces = [stream[at : at + step] for at in range(0, len(stream), step)]
    assert _read(pieces, bound) == expected
    assert _read([stream], bound) == expected


def _read(pieces: list[bytes], bound: int) -> Reading:
    """Return what the product's reader makes of the pieces."""
    reader, found = ws.WebSocketReader(bound), Reading()
    for piece in pieces:
        reader.feed(piece)
        found.end = _drain(reader, found)
        if found.end:
            break
    assert reader.unread <= sum(map(len, pieces))
    return found


def _drain(reader: ws.WebSocketReader, found: Reading) -> End:
    try:
        while (message := reader.read()) is not None:
            found.messages.append(tuple(message))
            if message.opcode == ws.CLOSE:
                _check_close(message.payload)
    except ws.MessageTooBig:
        return "too big"
    except ws.MalformedFrame:
        return "malformed"
    return ""


def _check_close(payload: bytes) -> None:
    """Section 7.4: the codes that may be sent; the reason is UTF-8."""
    code = int.from_bytes(payload[:2], "big")
    good = not payload or (len(payload) > 1 and (code in (*range(1000, 1004), *range(1007, 1015), *range(3000, 5000))))
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        good = False
    try:
        ws.check_close(payload)
    except ws.MalformedFrame:
        assert not good, payload
    else:
        assert good, payload


@contextmanager
def opened() -> Iterator[Check]:
    """Nothing needs to be opened."""
    yield check


def seeds() -> dict[str, bytes]:
    """Return streams of frames, each behind the two bytes that choose bound and pieces."""
    text = client_frame(ws.TEXT, b'{"type":"ping"}')
    fragments = (
        client_frame(ws.TEXT, b'{"type":', final=False)
        + client_frame(ws.PING, b"between")
        + client_frame(ws.CONTINUATION, b'"ping"}')
    )
    streams = {
        "text": text,
        "two-messages": text + client_frame(ws.BINARY, b"\x00\x01"),
        "fragments-around-a-ping": fragments,
        "close": text + client_frame(ws.CLOSE, b"\x03\xe8bye"),
        "medium-length": client_frame(ws.TEXT, b"x" * 150),
        "long-length-header": client_frame(ws.TEXT, b"x" * 65_536)[:12],
        "not-masked": b"\x81\x02{}",
        "length-longer-than-needed": b"\x81\xfe\x00\x05" + client_frame(ws.TEXT, b"hello")[2:],
    }
    return {name: b"\x04\x03" + stream for name, stream in streams.items()}


TARGET = Target(
    oracle="the same messages and the same end as a slow reader of all bytes at once, however the bytes are cut",
    opened=opened,
    seeds=seeds,
    words=(b"\x81\x80", b"\x01\x80", b"\x80\x80", b"\x89\x80", b"\x88\x82", b"\xfe\x00\x7e", b"\xff\x00\x00"),
    max_bytes=1024,
)
