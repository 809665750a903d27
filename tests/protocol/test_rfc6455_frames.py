"""RFC 6455 sections 5.2, 5.4, 5.5: pings, reserved bits, opcodes, fragments; the cases 2 to 5 of Autobahn's test suite."""

from __future__ import annotations

import pytest

from tests.support.raw_websocket import CONTINUATION, PING, PONG, TEXT
from tests.support.rfc6455 import (
    BINARY,
    INVALID,
    Echo,
    Ponged,
    Row,
    assert_row,
    fragments,
    ping_text,
    text,
    with_bits,
)
from tests.support.target import Target
from tests.support.websocket_frames import client_frame

pytestmark = pytest.mark.integration

HELLO = Echo("hello")
LONG = bytes(range(125))
TEXT_IN_TWO = fragments(TEXT, ping_text("hello"), 9)
FIRST, REST = (
    client_frame(TEXT, ping_text("hello")[:9], final=False),
    client_frame(CONTINUATION, ping_text("hello")[9:]),
)

PINGS = [
    Row("empty ping", "5.5.2", "2.1", client_frame(PING), [Ponged(b"")]),
    Row("ping with text", "5.5.2", "2.2", client_frame(PING, b"Hello, world!"), [Ponged(b"Hello, world!")]),
    Row("ping with bytes", "5.5.2", "2.3", client_frame(PING, b"\x00\xff\xfe\xfd"), [Ponged(b"\x00\xff\xfe\xfd")]),
    Row("ping with 125 bytes", "5.5", "2.4", client_frame(PING, LONG), [Ponged(LONG)]),
    Row("ping with 126 bytes", "5.5", "2.5", client_frame(PING, b"x" * 126), end=INVALID),
    Row("pong that nobody asked for", "5.5.3", "2.7", client_frame(PONG)),
    Row("pong with payload", "5.5.3", "2.8", client_frame(PONG, b"unsolicited") + text(), [HELLO]),
    Row("pong, then ping", "5.5.3", "2.9", client_frame(PONG, b"a") + client_frame(PING, b"b"), [Ponged(b"b")]),
    Row(
        "ten pings",
        "5.5.2",
        "2.10",
        b"".join(client_frame(PING, b"%d" % number) for number in range(10)),
        [Ponged(b"%d" % number) for number in range(10)],
    ),
]

RESERVED_BITS = [
    *[
        Row(f"{what} with bits {bits:#04x}", "5.2", f"3.{bits >> 4}", text() + with_bits(bits, frame), [HELLO], INVALID)
        for bits in range(0x10, 0x80, 0x10)
        for what, frame in {
            "text": text(),
            "ping": client_frame(PING, b"p"),
            "close": client_frame(0x8, b"\x03\xe8"),
            "first fragment": FIRST,
        }.items()
    ],
    Row("continuation with a bit", "5.2", "3.1", FIRST + with_bits(0x40, REST), end=INVALID),
]

OPCODES = [
    Row(
        f"opcode {opcode:#x}, {len(payload)} bytes",
        "5.2",
        case,
        text() + client_frame(opcode, payload),
        [HELLO],
        INVALID,
    )
    for opcode, case in {
        **{opcode: f"4.1.{opcode - 2}" for opcode in range(3, 8)},
        **{opcode: f"4.2.{opcode - 10}" for opcode in range(11, 16)},
    }.items()
    for payload in (b"", b"reserved")
]

FRAGMENTS = [
    Row("ping in fragments", "5.5", "5.1", fragments(PING, b"ab", 1), end=INVALID),
    Row("pong in fragments", "5.5", "5.2", fragments(PONG, b"ab", 1), end=INVALID),
    Row("text in two", "5.4", "5.3", TEXT_IN_TWO, [HELLO]),
    Row(
        "ping between",
        "5.4",
        "5.6",
        fragments(TEXT, ping_text("hello"), 9, client_frame(PING, b"p")),
        [
            *[Ponged(b"p")] * (len(ping_text("hello")) // 9),
            HELLO,
        ],
    ),
    Row("continuation of nothing, final", "5.4", "5.9", REST + text(), end=INVALID),
    Row(
        "continuation of nothing, not final", "5.4", "5.12", client_frame(CONTINUATION, b"x", final=False), end=INVALID
    ),
    Row("continuation behind a whole message", "5.4", "5.11", text() + REST, [HELLO], INVALID),
    Row("text within a text", "5.4", "5.18", FIRST + text(), end=INVALID),
    Row("binary within a text", "5.4", "5.18", FIRST + client_frame(BINARY, b"b"), end=INVALID),
    Row("two messages in fragments", "5.4", "5.19", TEXT_IN_TWO + TEXT_IN_TWO, [HELLO, HELLO]),
    Row("pong between", "5.4", "5.19", fragments(TEXT, ping_text("hello"), 3, client_frame(PONG, b"p")), [HELLO]),
    Row(
        "empty fragments",
        "5.4",
        "6.1.2",
        client_frame(TEXT, final=False)
        + client_frame(CONTINUATION, final=False)
        + client_frame(CONTINUATION, ping_text("hello")),
        [HELLO],
    ),
    Row("a fragment for each byte", "5.4", "9.3", fragments(TEXT, ping_text("hello"), 1), [HELLO]),
    Row("a thousand fragments", "5.4", "9.3", fragments(TEXT, ping_text("x" * 1000), 1), [Echo("x" * 1000)]),
]

LENGTHS = [
    Row("length of 5 in two bytes", "5.2", "", b"\x81\xfe\x00\x05" + b"mask" + b"hello", end=INVALID),
    Row(
        "length of 5 in eight bytes",
        "5.2",
        "",
        b"\x81\xff" + bytes(7) + b"\x05" + client_frame(TEXT, b"hello")[2:],
        end=INVALID,
    ),
    Row("first bit of eight bytes", "5.2", "", b"\x81\xff\x80" + bytes(7), end=1009),
    Row("mask of zeros", "5.3", "", client_frame(TEXT, ping_text("hello"), mask=bytes(4)), [HELLO]),
    Row("not masked", "5.1", "", text() + b"\x81\x02{}", [HELLO], INVALID),
    Row("ping, not masked", "5.1", "", b"\x89\x00", end=INVALID),
]

ROWS = [*PINGS, *RESERVED_BITS, *OPCODES, *FRAGMENTS, *LENGTHS]


@pytest.mark.parametrize("row", ROWS, ids=[row.title for row in ROWS])
async def test_frames(target: Target, row: Row) -> None:
    await assert_row(target, row)


@pytest.mark.parametrize("row", [*PINGS, *FRAGMENTS[:-1], *LENGTHS], ids=lambda row: row.title)
async def test_frames_byte_by_byte(target: Target, row: Row) -> None:
    """Autobahn's cases 2.6, 2.11, 5.5, 5.8 and their like."""
    await assert_row(target, row, chop=1)
