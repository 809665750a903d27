"""RFC 6455 sections 5.5.1 and 7: close frames, and what comes behind them; the cases 7 of Autobahn's test suite.

An edge answers every good close frame with 1000 (docs/protocol.md, "Life of a connection"); the RFC has it that the code is
echoed "typically".
"""

from __future__ import annotations

import pytest

from tests.support.raw_websocket import CLOSE, CONTINUATION, PING, TEXT
from tests.support.rfc6455 import INVALID, NORMAL, Echo, Row, assert_row, ping_text, text
from tests.support.target import Target
from tests.support.websocket_frames import client_frame

pytestmark = pytest.mark.integration

HELLO = Echo("hello")
GOOD_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
BAD_CODES = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)


def close(code: int = NORMAL, reason: bytes = b"") -> bytes:
    return client_frame(CLOSE, code.to_bytes(2, "big") + reason)


FIRST = client_frame(TEXT, ping_text("hello")[:9], final=False)
ROWS = [
    Row("text, then close", "7.1.1", "7.1.1", text() + close(), [HELLO], NORMAL),
    Row("close twice", "5.5.1", "7.1.2", close() + close(), end=NORMAL),
    Row("ping behind close", "5.5.1", "7.1.3", close() + client_frame(PING, b"late"), end=NORMAL),
    Row("text behind close", "5.5.1", "7.1.4", close() + text(), end=NORMAL),
    Row("close within a message", "5.4", "7.1.5", FIRST + close() + client_frame(CONTINUATION, b"x"), end=NORMAL),
    Row("no payload", "5.5.1", "7.3.1", client_frame(CLOSE), end=NORMAL),
    Row("one byte", "5.5.1", "7.3.2", client_frame(CLOSE, b"a"), end=INVALID),
    Row("a code alone", "5.5.1", "7.3.3", close(), end=NORMAL),
    Row("code and reason", "5.5.1", "7.3.4", close(reason=b"Hello World!"), end=NORMAL),
    Row("the longest reason", "5.5", "7.3.5", close(reason=b"x" * 123), end=NORMAL),
    Row("a reason that is too long", "5.5", "7.3.6", close(reason=b"x" * 124), end=INVALID),
    Row("a reason of several bytes a letter", "5.5.1", "7.3.4", close(reason="Grüße".encode()), end=NORMAL),
    Row("a reason that is not UTF-8", "8.1", "7.5.1", close(reason=b"\xce\xba\xed\xa0\x80edited"), end=INVALID),
    Row("half a character", "8.1", "7.5.1", close(reason=b"\xce"), end=INVALID),
    Row("close in fragments", "5.5", "", client_frame(CLOSE, b"\x03\xe8", final=False), end=INVALID),
    *[Row(f"code {code}", "7.4", "7.7", text() + close(code), [HELLO], NORMAL) for code in GOOD_CODES],
    *[Row(f"code {code}", "7.4", "7.9", text() + close(code), [HELLO], INVALID) for code in BAD_CODES],
]


@pytest.mark.parametrize("row", ROWS, ids=[row.title for row in ROWS])
async def test_closes(target: Target, row: Row) -> None:
    await assert_row(target, row)


# Who sends on behind a close frame, which section 5.5.1 forbids, and in another packet, finds the connection gone.
GONE_ON = ("close twice", "behind close", "close within")
ONE_BY_ONE = [row for row in ROWS[:14] if not any(words in row.name for words in GONE_ON)]


@pytest.mark.parametrize("row", ONE_BY_ONE, ids=[row.title for row in ONE_BY_ONE])
async def test_closes_byte_by_byte(target: Target, row: Row) -> None:
    await assert_row(target, row, chop=1)
