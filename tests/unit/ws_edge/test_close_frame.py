"""Close frames (RFC 6455 section 5.5.1)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_edge.core.close_codes import CloseCode
from ws_edge.core.websocket_frame import MAX_REASON_BYTES, close_frame


def taken_apart(frame: bytes) -> tuple[int, str]:
    """Return code and reason of an unmasked close frame."""
    first, size = frame[:2]
    assert first == 0x88, "final, no extension, opcode 8"
    assert size == len(frame) - 2 <= 125
    (code,) = struct.unpack("!H", frame[2:4])
    return code, frame[4:].decode()


@pytest.mark.parametrize("code", CloseCode)
def test_code_and_reason(code: CloseCode) -> None:
    assert taken_apart(close_frame(code, "why")) == (code, "why")
    assert taken_apart(close_frame(code, "")) == (code, "")


def test_a_long_reason_is_cut_between_characters() -> None:
    assert taken_apart(close_frame(1000, "x" * 200))[1] == "x" * MAX_REASON_BYTES
    assert taken_apart(close_frame(1000, "\u00fc" * 200))[1] == "\u00fc" * (MAX_REASON_BYTES // 2)


@given(st.text())
def test_every_reason_becomes_a_frame_that_can_be_read(reason: str) -> None:
    _, shown = taken_apart(close_frame(1000, reason))
    assert reason.startswith(shown)
    assert len(shown.encode()) <= MAX_REASON_BYTES
