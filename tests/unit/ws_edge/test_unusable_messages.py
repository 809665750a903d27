"""What is behind the first wrong field of a message decides too: what is no JSON is told as such."""

from __future__ import annotations

import pytest

from ws_edge.core.client_frames import decode_envelope
from ws_edge.core.close_codes import CloseCode
from ws_edge.core.errors import ErrorType, FrameError


@pytest.mark.parametrize(
    "text", [b'{"type":5,"data":{', b'{"id":7,"type":"ping"', b'{"type":5} {}', b'{"type":5,"data":' + b"[" * 100_000]
)
def test_a_wrong_field_before_broken_json(text: bytes) -> None:
    with pytest.raises(FrameError) as caught:
        decode_envelope(text)
    assert (caught.value.error_type, caught.value.close) == (ErrorType.INVALID_FORMAT, CloseCode.INVALID_FORMAT)


def test_a_wrong_field_in_whole_json_stays_open() -> None:
    with pytest.raises(FrameError) as caught:
        decode_envelope(b'{"type":"ping","id":7}')
    assert (caught.value.error_type, caught.value.close) == (ErrorType.INVALID_FORMAT, None)
