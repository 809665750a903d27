"""What clients send: the envelope, and the `data` of each frame (`ws_edge/core/client_frames.py`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from tests.fuzz.golden import client_frames
from tests.fuzz.references.json_frames import RULES, judge_data, judge_envelope, plain
from tests.fuzz.target import Check, Target
from ws_edge.core import client_frames as cf
from ws_edge.core.close_codes import CloseCode
from ws_edge.core.errors import ErrorType, FrameError

DECODERS: Final[Mapping[str, cf.DataDecoder[Any]]] = {
    "connect": cf.DataDecoder(cf.ConnectData),
    "join_channel": cf.DataDecoder(cf.JoinData),
    "leave_channel": cf.DataDecoder(cf.ChannelData),
    "presence": cf.DataDecoder(cf.ChannelData),
    "ack": cf.DataDecoder(cf.AckData),
    "history": cf.DataDecoder(cf.HistoryData),
    "receipt": cf.DataDecoder(cf.ReceiptData),
    "direct_message": cf.DataDecoder(cf.DirectData),
    **{kind: cf.DataDecoder(cf.MessageData) for kind in cf.MESSAGE_TYPES},
}


def check(text: bytes) -> None:
    """Decode a frame, and compare with the slow way."""
    expected = judge_envelope(text)
    try:
        envelope = cf.decode_envelope(text)
    except FrameError as refused:
        assert refused.error_type is ErrorType.INVALID_FORMAT
        closes = refused.close is CloseCode.INVALID_FORMAT
        assert expected.kind in ("unclear", "closed" if closes else "open"), (expected, refused)
        if expected.kind == "open":
            assert cf.frame_id_of(text) == expected.id
        return
    if expected.kind == "unclear":
        return
    assert expected.kind == "good", expected
    assert (envelope.type, envelope.id, envelope.channel) == (expected.type, expected.id, expected.channel)
    assert (envelope.data is not cf.NO_DATA) is expected.has_data
    if expected.has_data:
        raw = bytes(envelope.data)
        assert raw in text, "the data is not the bytes that were sent"
        assert plain(raw) == expected.data
    if envelope.type in DECODERS:
        _check_data(envelope, expected.data)


def _check_data(envelope: cf.Envelope, data: Any) -> None:
    verdict = judge_data(envelope.type, data)
    try:
        decoded = DECODERS[envelope.type].decode(envelope)
    except FrameError as refused:
        assert refused.error_type is ErrorType.INVALID_FORMAT
        assert refused.close is None, "a field of a known frame closes nothing"
        assert verdict != "good", (envelope.type, data, refused)
        return
    assert verdict != "bad", (envelope.type, data, decoded)
    if verdict == "good":
        for name in RULES[envelope.type]:
            _check_field(decoded, name.rstrip("?"), dict(data))


def _check_field(decoded: Any, name: str, data: Mapping[str, Any]) -> None:
    value, found = data.get(name), getattr(decoded, name)
    if isinstance(found, int) and not isinstance(found, bool) and name in data:
        assert found == int(value)
    elif isinstance(found, str):
        assert found == value


@contextmanager
def opened() -> Iterator[Check]:
    """Nothing needs to be opened."""
    yield check


TARGET = Target(
    oracle="the same verdict as Python's JSON parser with the rules of the protocol; data stays the bytes that were sent",
    opened=opened,
    seeds=client_frames,
    words=(
        *(b'"type"', b'"data"', b'"id"', b'"channel"', b'"epoch"', b'"offset"', b'"recover"', b'"last_acked"'),
        *(b'"since"', b'"limit"', b'"resume"', b'"presence"', b'"thread_id"', b'"content"', b"9223372036854775807"),
        *(b"\\ud800", b"\\udc00", b"\\u0000", b"\xef\xbb\xbf", b"1e400", b"-0", b"NaN", b"null", b"true"),
    ),
)
