"""RFC 6455 sections 5.6 and 8.1: texts of all sizes, and what is UTF-8; the cases 1, 6 and 9 of Autobahn's test suite."""

from __future__ import annotations

import pytest

from tests.support.raw_websocket import TEXT
from tests.support.rfc6455 import BINARY, INVALID, MAX_BYTES, TOO_BIG, Echo, Row, assert_row, fragments, ping_text, text
from tests.support.target import Target
from tests.support.websocket_frames import client_frame

pytestmark = pytest.mark.integration

AROUND = len(ping_text(""))


def sized(size: int) -> str:
    """Return the data of a `ping` whose text has so many bytes."""
    return "*" * (size - AROUND)


SIZES = [
    *[
        Row(f"{size} bytes", "5.2", case, text(sized(size)), [Echo(sized(size))])
        for case, size in {
            "1.1.2": 125,
            "1.1.3": 126,
            "1.1.4": 127,
            "1.1.5": 128,
            "1.1.6": 65_535,
            "1.1.7": MAX_BYTES,
        }.items()
    ],
    *[
        Row(
            f"{MAX_BYTES} bytes in fragments of {size}",
            "5.4",
            case,
            fragments(TEXT, ping_text(sized(MAX_BYTES)), size),
            [Echo(sized(MAX_BYTES))],
        )
        for case, size in {"9.3.1": 64, "9.3.2": 256, "9.3.3": 1024, "9.3.4": 4096, "9.3.5": 16_384}.items()
    ],
    Row("one byte too many", "1009 of 7.4.1", "", text(sized(MAX_BYTES + 1)), end=TOO_BIG),
    Row(
        "one byte too many in fragments",
        "1009 of 7.4.1",
        "",
        fragments(TEXT, ping_text(sized(MAX_BYTES + 1)), 1024),
        end=TOO_BIG,
    ),
    Row("one byte too many, by its header alone", "1009 of 7.4.1", "", text(sized(MAX_BYTES + 1))[:14], end=TOO_BIG),
    # docs/protocol.md takes no binary messages.
    *[
        Row(
            f"binary of {size} bytes",
            "5.6",
            case,
            text() + client_frame(BINARY, b"\xfe" * size),
            [Echo("hello")],
            INVALID,
        )
        for case, size in {"1.2.1": 0, "1.2.2": 125, "1.2.6": 65_535}.items()
    ],
]

# Each kind of what is UTF-8, first and last of each length (RFC 3629 section 3), and code points that are no characters.
GOOD = {
    "6.2.1": "Hello-µ@ßöäüàá-UTF-8!!",
    "6.5.1": "κόσμε",
    "6.6.5": "κόσμε",
    "6.7.1": "\u007f",
    "6.7.2": "\u0080",
    "6.7.3": "\u0800",
    "6.7.4": "\U00010000",
    "6.9.2": "\u07ff",
    "6.9.3": "\uffff",
    "6.9.4": "\U0010ffff",
    "6.11.1": "\ud7ff",
    "6.11.2": "\ue000",
    "6.11.3": "\ufffd",
    "6.22.1": "\ufffe",
    "6.22.3": "\U0001fffe",
    "6.22.33": "\U0010fffe",
    "6.23.1": "\ufff9\ufffa\ufffb\ufffc",
}
# RFC 3629 sections 3 and 10; the names are those of the groups of Autobahn's cases.
BAD = {
    "6.3.1": "κόσμε".encode() + b"\xed\xa0\x80" + b"edited",
    "6.4.1": "κόσμε".encode() + b"\xf4\x90\x80\x80" + b"edited",
    "6.6.2": b"\xce\xba\xe1",
    "6.6.4": b"\xce\xba\xe1\xbd",
    "6.8.1": b"\xf8\x88\x80\x80\x80",
    "6.8.2": b"\xfc\x84\x80\x80\x80\x80",
    "6.10.1": b"\xf7\xbf\xbf\xbf",
    "6.10.2": b"\xfb\xbf\xbf\xbf\xbf",
    "6.10.3": b"\xfd\xbf\xbf\xbf\xbf\xbf",
    "6.11.5": b"\xf4\x90\x80\x80",
    "6.12.1": b"\x80",
    "6.12.2": b"\xbf",
    "6.12.3": b"\x80\xbf",
    "6.12.8": bytes(range(0x80, 0xC0)),
    "6.13.1": b" ".join(bytes([first]) for first in range(0xC0, 0xE0)),
    "6.13.2": b" ".join(bytes([first]) for first in range(0xE0, 0xF0)),
    "6.13.3": b" ".join(bytes([first]) for first in range(0xF0, 0xF8)),
    "6.14.1": b"\xc0",
    "6.14.2": b"\xe0\x80",
    "6.14.3": b"\xf0\x80\x80",
    "6.14.6": b"\xdf",
    "6.14.7": b"\xef\xbf",
    "6.14.8": b"\xf7\xbf\xbf",
    "6.15.1": b"\xc0\xe0\x80\xf0\x80\x80",
    "6.16.1": b"\xfe",
    "6.16.2": b"\xff",
    "6.16.3": b"\xfe\xfe\xff\xff",
    "6.17.1": b"\xc0\xaf",
    "6.17.2": b"\xe0\x80\xaf",
    "6.17.3": b"\xf0\x80\x80\xaf",
    "6.18.1": b"\xc1\xbf",
    "6.18.2": b"\xe0\x9f\xbf",
    "6.18.3": b"\xf0\x8f\xbf\xbf",
    "6.19.1": b"\xc0\x80",
    "6.20.1": b"\xed\xa0\x80",
    "6.20.7": b"\xed\xbf\xbf",
    "6.21.1": b"\xed\xa0\x80\xed\xb0\x80",
    "6.21.8": b"\xed\xaf\xbf\xed\xbf\xbf",
}


def raw_text(data: bytes) -> bytes:
    return b'{"type":"ping","data":"%b"}' % data


UTF8 = [
    *[Row(f"{value!a}", "8.1", case, text(value), [Echo(value)]) for case, value in GOOD.items()],
    # A fragment may end within a character (section 5.6).
    *[
        Row(f"{value!a} in bytes", "5.6", case, fragments(TEXT, ping_text(value), 1), [Echo(value)])
        for case, value in GOOD.items()
    ],
    *[
        Row(f"{data.hex()}", "8.1", case, text() + client_frame(TEXT, raw_text(data)), [Echo("hello")], INVALID)
        for case, data in BAD.items()
    ],
    *[
        Row(f"{data.hex()} in bytes", "8.1", case, fragments(TEXT, raw_text(data), 1), end=INVALID)
        for case, data in BAD.items()
    ],
    Row("half a character at the end", "8.1", "6.6.1", client_frame(TEXT, b'{"type":"ping","data":"\xce'), end=INVALID),
]

ROWS = [*SIZES, *UTF8]


@pytest.mark.parametrize("row", ROWS, ids=[row.title for row in ROWS])
async def test_texts(target: Target, row: Row) -> None:
    await assert_row(target, row)


@pytest.mark.parametrize("chop", [64, 997, 16_384])
async def test_the_largest_message_in_pieces_of_the_stream(target: Target, chop: int) -> None:
    """Autobahn's cases 9.5 and 9.6."""
    row = Row("largest", "5.2", "9.5", text(sized(MAX_BYTES)), [Echo(sized(MAX_BYTES))])
    await assert_row(target, row, chop=chop)
