"""RFC 6455 under the frames of protocol.md: the handshake, what comes with it, fragments and control frames."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from tests.support.raw_websocket import CLOSE, CONTINUATION, HANDSHAKE, KEY, PING, PONG, TEXT, raw
from tests.support.target import Target
from tests.support.websocket_frames import client_frame, read_frame

pytestmark = pytest.mark.integration

NO_KEY = json.dumps({"type": "ping"}).encode()


async def test_the_handshake_is_answered_without_extensions(target: Target) -> None:
    offers = {
        "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Protocol": "mqtt",
    }
    async with raw(target, HANDSHAKE | offers) as peer:
        status, headers = await peer.head()
        assert status == 101
        assert (headers["upgrade"].lower(), headers["connection"].lower()) == ("websocket", "upgrade")
        accept = hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        assert headers["sec-websocket-accept"] == base64.b64encode(accept).decode()
        assert not headers.keys() & {"sec-websocket-extensions", "sec-websocket-protocol"}
        assert (await peer.frame())["type"] == "connection_established"


@pytest.mark.parametrize(
    "change",
    [
        {"Upgrade": "h2c"},
        {"Connection": "close"},
        {"Sec-WebSocket-Version": "8"},
        {"Sec-WebSocket-Key": "c2hvcnQ="},
        {"Sec-WebSocket-Key": "no base64!"},
        {"Sec-WebSocket-Key": "\u00e4"},
    ],
    ids=str,
)
async def test_half_a_handshake_is_no_upgrade(target: Target, change: dict[str, str]) -> None:
    async with raw(target, HANDSHAKE | change | {"Accept": "*/*"}) as peer:
        status, headers = await peer.head()
        assert status == 426
        assert headers["upgrade"] == "websocket"


async def test_frames_that_come_with_the_request_are_read(target: Target) -> None:
    async with raw(target, HANDSHAKE, behind=client_frame(PING, b"early") + client_frame(TEXT, NO_KEY)) as peer:
        assert (await peer.head())[0] == 101
        assert (await peer.frame())["type"] == "connection_established"
        assert await read_frame(peer.reader) == (PONG, b"early")
        assert (await peer.frame())["data"]["error_type"] == "not_authenticated"


async def test_a_message_in_fragments_with_pings_between(target: Target) -> None:
    async with raw(target, HANDSHAKE) as peer:
        await peer.head()
        await peer.frame()
        for at in range(len(NO_KEY)):
            opcode = CONTINUATION if at else TEXT
            peer.writer.write(client_frame(opcode, NO_KEY[at : at + 1], final=False) + client_frame(PING, b"%d" % at))
            assert await read_frame(peer.reader) == (PONG, b"%d" % at)
        peer.writer.write(client_frame(CONTINUATION))
        assert (await peer.frame())["data"]["error_type"] == "not_authenticated"


async def test_a_close_frame_is_answered_with_1000(target: Target) -> None:
    async with raw(target, HANDSHAKE) as peer:
        await peer.head()
        await peer.frame()
        peer.writer.write(client_frame(CLOSE, b"\x03\xe9going away"))
        assert await read_frame(peer.reader) == (CLOSE, b"\x03\xe8")
        assert await peer.reader.read() == b""


async def test_a_frame_that_is_not_masked_is_refused(target: Target) -> None:
    async with raw(target, HANDSHAKE) as peer:
        await peer.head()
        await peer.frame()
        peer.writer.write(b"\x81\x02{}")
        assert (await peer.frame())["data"]["error_type"] == "invalid_format"
        assert (await peer.frame())["data"]["code"] == 4002
        assert (await read_frame(peer.reader))[1][:2] == (4002).to_bytes(2, "big")
