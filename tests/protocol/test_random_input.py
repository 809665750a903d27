"""Whatever a client sends: no process ends, nothing is ever 1011, and each frame gets an answer of the tables."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.frame_catalogue import CLIENT_FRAMES, CLOSE_CODES, ERRORS, check_server_frame
from tests.support.http_client import http
from tests.support.processes import ServiceProcess
from tests.support.services import Gateway

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DEADLINE_S = 30.0
PEERS_FAULT = {1000, 1009, 4002, 4003}
GENERATED = settings(
    deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def edge(gateway: Gateway) -> Iterator[ServiceProcess]:
    """An edge without rate limits, which must live on, without a defect, with the services behind it."""
    edge = gateway.another_edge("unlimited", frames_per_second=0, bytes_per_second=0, debug_endpoint=False)
    pids = [process.pid for process in gateway.processes]
    yield edge
    assert [process.pid for process in gateway.processes if process.running] == pids
    metrics = http("GET", f"http://{edge.address}/metrics").body.decode()
    assert "tidewire_edge_defects_total 0.0" in metrics
    assert http("GET", f"http://{edge.address}/ready").status == 200


class Fuzzed:
    """One client that sends anything, and connects again whenever that was too much."""

    def __init__(self, edge: ServiceProcess) -> None:
        self._url = f"ws://{edge.address}/client_"
        self._workspace = f"fuzz-{secrets.token_hex(4)}"  # its channels live on from one connection to the next
        self._stack = ExitStack()
        self._socket: ClientConnection | None = None

    def socket(self) -> ClientConnection:
        """Return a connection that is authenticated and a member of `room`."""
        if self._socket is None:
            client_id = f"fuzz-{secrets.token_hex(4)}"
            connecting = connect(self._url + client_id, proxy=None, max_size=None, open_timeout=DEADLINE_S)
            self._socket = self._stack.enter_context(connecting)
            data = {
                "api_key": "valid-test-key",
                "connection_type": "chat",
                "domain": "fuzz",
                "workspace": self._workspace,
            }
            self._socket.send(json.dumps({"type": "connect", "data": data}))
            self._socket.send(json.dumps({"type": "join_channel", "data": {"channel": "room"}}))
            while self.next()["type"] != "subscription_success":
                continue
        return self._socket

    def forget(self) -> None:
        """Have the next message sent by a new connection."""
        self._stack.close()
        self._socket = None

    def next(self) -> dict[str, Any]:
        """Return the next frame, which must be one of the contracts."""
        assert self._socket is not None
        frame = json.loads(self._socket.recv(timeout=DEADLINE_S))
        if frame["type"] != "pong":  # its data is whatever the ping had, deeper than protobuf's own parser goes
            with suppress(OverflowError):  # and protobuf's numbers are smaller than JSON's
                check_server_frame(frame, debug=False)
        return frame

    def try_out(self, message: str | bytes, *, answered: bool) -> None:
        """Send one message, and judge what comes of it."""
        sent = self.socket()
        frames = []
        try:
            sent.send(message)
            if answered:
                frames.append(self.next())
            with suppress(ConnectionClosed):  # what came before the close is still to be read
                sent.send('{"type": "ping", "data": "sentinel"}')
            while not frames or frames[-1]["data"] != "sentinel":
                frames.append(self.next())
        except ConnectionClosed as closed:
            self.forget()
            check_end(closed, frames[-1], message)
        except BaseException:
            self.forget()
            raise
        for frame in frames:
            if frame["type"] == "error":
                assert frame["data"]["code"] in ERRORS[frame["data"]["error_type"]][0]
                assert frame["data"]["error_type"] != "server_error", message


def check_end(closed: ConnectionClosed, last: dict[str, Any], message: str | bytes) -> None:
    """Fail unless a connection ended as the table has it, for a fault of the peer."""
    assert closed.rcvd is not None, f"no close frame for {message!r}"
    code = closed.rcvd.code
    assert code in PEERS_FAULT, message
    assert (last["type"], last["data"]["code"], last["data"]["reconnect"]) == ("disconnect", code, CLOSE_CODES[code])


@pytest.fixture(scope="module")
def fuzzed(edge: ServiceProcess) -> Iterator[Fuzzed]:
    fuzzed = Fuzzed(edge)
    yield fuzzed
    fuzzed.forget()


HUGE = st.sampled_from([10**400, -(10**400), 2**63, 2**64, -1, 2**53 + 1])
SCALARS = st.none() | st.booleans() | st.integers() | HUGE | st.floats(allow_nan=False) | st.text(max_size=40)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["channel", "offset", "epoch", "recover", "history", "limit", "since", "to", "content", "thread_id", "presence"]
)
GOOD_VALUES = st.sampled_from(
    ["room", "other", "*", "@x", 1, 0, "last_acked", {"epoch": "e", "offset": 1}, True, "bob"]
)
DATA = st.dictionaries(FIELDS | st.text(max_size=8), GOOD_VALUES | VALUES, max_size=5)
TYPES = st.sampled_from(sorted(CLIENT_FRAMES)) | st.text(max_size=20)
FRAMES = st.fixed_dictionaries(
    {"type": TYPES | VALUES},
    optional={
        "data": DATA | VALUES,
        "id": st.text(max_size=70) | VALUES,
        "channel": st.just("room") | st.text(max_size=130) | VALUES,
        "client_id": VALUES,
        "timestamp": VALUES,
        "surplus": VALUES,
    },
)
DUPLICATE_KEYS = st.tuples(TYPES, TYPES).map(lambda two: '{"type": %s, "type": %s}' % tuple(map(json.dumps, two)))  # noqa: UP031
CUT = st.tuples(FRAMES, st.integers(0, 200)).map(lambda pair: json.dumps(pair[0])[: pair[1]])
DEEP = st.integers(1, 30_000).map(lambda depth: '{"type": "ping", "data": ' + "[" * depth + "]" * depth + "}")
TEXTS = st.one_of(
    FRAMES.map(json.dumps),
    FRAMES.map(lambda frame: json.dumps(frame, ensure_ascii=False)),
    DUPLICATE_KEYS,
    CUT,
    DEEP,
    st.text(),
)


@pytest.mark.timeout(1800)
@given(TEXTS)
@settings(GENERATED, max_examples=10_000)
def test_ten_thousand_random_frames(fuzzed: Fuzzed, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate: no text frame can carry it
        return
    fuzzed.try_out(text, answered='"ack"' not in text)


@given(st.binary(max_size=200))
@settings(GENERATED, max_examples=200)
def test_random_binary_messages(fuzzed: Fuzzed, payload: bytes) -> None:
    fuzzed.try_out(payload, answered=True)


@pytest.mark.parametrize("size", [65_537, 1_048_576, 8_388_608], ids=lambda size: f"{size} bytes")
def test_frame_that_is_too_large(fuzzed: Fuzzed, size: int) -> None:
    fuzzed.socket().send(json.dumps({"type": "ping", "data": "x" * size}))
    frame = fuzzed.next()
    assert (frame["type"], frame["data"]["code"]) == ("disconnect", 1009)
    with pytest.raises(ConnectionClosed) as closed:
        fuzzed.next()
    fuzzed.forget()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


# Below the level of messages: bytes that no WebSocket library would send.


def masked(first: int, payload: bytes, *, length: int | None = None) -> bytes:
    """Return a frame of RFC 6455 section 5.2 with any first byte, which may lie about its length."""
    size = len(payload) if length is None else length
    head = struct.pack("!BB", first, 0x80 | size) if size < 126 else struct.pack("!BBH", first, 0x80 | 126, size)
    key = b"\x01\x02\x03\x04"
    return head + key + bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))


def after_upgrade(edge: ServiceProcess, data: bytes) -> bytes:
    """Upgrade by hand, send bytes, close the sending side, and return all that comes."""
    host, port = edge.address.split(":")
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET /client_raw HTTP/1.1\r\nHost: {edge.address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), DEADLINE_S) as raw:
        raw.sendall(request.encode())
        got = b""
        while b"connection_established" not in got:
            got += raw.recv(65_536)
        with suppress(ConnectionError):
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
            while piece := raw.recv(65_536):
                got += piece
    return got


BAD_BYTES = {
    "text that is not UTF-8": masked(0x81, b'{"type": "\xff\xfe"}'),
    "text that is half a character": masked(0x81, b'{"type": "\xc3'),
    "reserved bits": masked(0xF1, b"{}"),
    "an unknown opcode": masked(0x83, b"{}"),
    "a fragmented ping": masked(0x09, b""),
    "a ping that is too long": masked(0x89, b"x" * 126),
    "a continuation of nothing": masked(0x80, b"{}"),
    "a close frame with one byte": masked(0x88, b"x"),
}


@pytest.mark.parametrize("data", BAD_BYTES.values(), ids=list(BAD_BYTES))
def test_broken_frames_are_told(edge: ServiceProcess, data: bytes) -> None:
    got = after_upgrade(edge, data)
    assert b'"error_type":"invalid_format"' in got
    assert b'"code":4002' in got
    assert struct.pack("!H", 4002) in got


@pytest.mark.parametrize("data", [b"", masked(0x81, b'{"type"', length=100), b"\x81", b"\x81\xfe\x00"], ids=repr)
def test_half_a_frame(edge: ServiceProcess, data: bytes) -> None:
    """A peer that goes in the middle of a frame has nothing to be told."""
    got = after_upgrade(edge, data)
    assert b"server_error" not in got


@given(st.binary(min_size=1, max_size=300))
@settings(GENERATED, max_examples=500)
def test_random_bytes(edge: ServiceProcess, data: bytes) -> None:
    assert b"server_error" not in after_upgrade(edge, data)
