"""The client's side of RFC 6455, against frames of a server made by hand, and another library's reader."""

from __future__ import annotations

import base64
import hashlib
import random

import pytest
from websockets.frames import Frame
from websockets.streams import StreamReader

from tidewire_client.load import websocket
from tidewire_client.load.websocket import (
    BINARY,
    CLOSE,
    NO_CODE,
    PING,
    PONG,
    TEXT,
    FrameReader,
    UpgradeRefused,
    WebSocketFault,
    check_upgrade,
    client_frame,
    close_code,
    close_frame,
    new_key,
    upgrade_request,
)


def server_frame(opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0) -> bytes:
    """A frame of a server, from RFC 6455 section 5.2."""
    first = bytes([opcode | (0x80 if final else 0) | reserved])
    size = len(payload)
    if size < 126:
        return first + bytes([size]) + payload
    wide, code = (2, 126) if size < 65_536 else (8, 127)
    return first + bytes([code]) + size.to_bytes(wide, "big") + payload


MESSAGES = [
    (TEXT, b'{"type":"pong"}'),
    (PING, b""),
    (TEXT, b"x" * 125),
    (TEXT, b"y" * 126),
    (PONG, b"p"),
    (TEXT, b"z" * 70_000),
    (BINARY, b"\x00\x01"),
    (CLOSE, b"\x03\xf5later"),
]


@pytest.mark.parametrize("seed", range(5))
def test_frames_are_read_however_they_are_cut(seed: int) -> None:
    rng, reader = random.Random(seed), FrameReader()
    data = b"".join(server_frame(opcode, payload) for opcode, payload in MESSAGES)
    found = []
    while data:
        size = rng.choice([1, 2, 3, 100, 50_000])
        found += reader.feed(data[:size])
        data = data[size:]
    assert found == MESSAGES


def test_a_message_in_parts_with_a_ping_between() -> None:
    data = server_frame(TEXT, b"one ", final=False) + server_frame(PING, b"?") + server_frame(0, b"two")
    assert FrameReader().feed(data + server_frame(TEXT, b"three")) == [
        (PING, b"?"),
        (TEXT, b"one two"),
        (TEXT, b"three"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        server_frame(0, b"nothing before it"),
        server_frame(TEXT, b"a", final=False) + server_frame(TEXT, b"b"),
        server_frame(TEXT, b"a", reserved=0x40),
        server_frame(PING, b"", final=False),
        server_frame(11, b""),
        server_frame(3, b""),
        bytes([0x81, 127]) + (1 << 40).to_bytes(8, "big"),
    ],
)
def test_what_breaks_a_rule_is_refused(data: bytes) -> None:
    with pytest.raises(WebSocketFault):
        FrameReader().feed(data)


def test_a_message_in_parts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "MAX_MESSAGE_BYTES", 10)
    reader = FrameReader()
    reader.feed(server_frame(TEXT, b"123456", final=False))
    with pytest.raises(WebSocketFault):
        reader.feed(server_frame(0, b"123456"))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_what_is_sent_is_read_by_another_library(size: int) -> None:
    reader = StreamReader()
    reader.feed_data(client_frame(TEXT, b"a" * size))
    parsing = Frame.parse(reader.read_exact, mask=True)
    with pytest.raises(StopIteration) as parsed:
        next(parsing)
    frame = parsed.value.value
    assert (frame.opcode, frame.fin, frame.data) == (TEXT, True, b"a" * size)


def test_close_codes() -> None:
    assert close_code(close_frame(1000)[6:]) == 1000
    assert close_code(b"") == NO_CODE


def answer(key: str, status: bytes = b"101 Switching Protocols", accept: bytes | None = None) -> bytes:
    good = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    accept = base64.b64encode(good) if accept is None else accept
    return b"HTTP/1.1 " + status + b"\r\nUpgrade: websocket\r\nSEC-WebSocket-Accept:  " + accept


def test_an_upgrade() -> None:
    key = new_key()
    request = upgrade_request("edge.example:8000", "/client_a", key)
    assert request.startswith(b"GET /client_a HTTP/1.1\r\nHost: edge.example:8000\r\n")
    assert request.endswith(b"\r\n\r\n")
    check_upgrade(answer(key), key)


def test_an_upgrade_that_is_refused_says_with_what() -> None:
    with pytest.raises(UpgradeRefused) as refused:
        check_upgrade(answer("k", b"503 Service Unavailable"), "k")
    assert refused.value.status == 503


@pytest.mark.parametrize("head", [b"", b"SSH-2.0-OpenSSH", b"HTTP/1.1 abc", answer("k", accept=b"another")])
def test_what_is_no_upgrade_is_a_fault(head: bytes) -> None:
    with pytest.raises(WebSocketFault):
        check_upgrade(head, "k")
