import json

import pytest
from google.protobuf import json_format

from tests.support.frame_catalogue import CLIENT_FRAMES, CLOSE_CODES, ERRORS, MESSAGE_TYPES
from tests.support.golden import GoldenFrame, golden_frames
from tidewire_client import edge_frames, errors
from tidewire_client.edge_frames import (
    Frame,
    closed,
    encode_frame,
    encode_message,
    ends,
    error_of,
    goodbye,
    parse_frame,
    passes,
    position_in,
    retry_after_s,
)
from tidewire_client.message import Position

DAY_S = 86_400.0


def frame(frame_type: str, **data: object) -> Frame:
    return parse_frame(json.dumps({"type": frame_type, "data": data}))


def error_frame(error_type: str, code: int, **more: object) -> Frame:
    return frame("error", message=f"words of {error_type}", error_type=error_type, code=code, **more)


SERVER_FRAMES = [golden for golden in golden_frames() if golden.direction == "server"]


@pytest.mark.parametrize("golden", SERVER_FRAMES, ids=lambda golden: golden.name)
def test_every_frame_of_the_server_is_read(golden: GoldenFrame) -> None:
    text = json.dumps(golden.frame)
    read = parse_frame(text)
    assert (read.type, read.data, read.text) == (golden.frame["type"], golden.frame.get("data", {}), text)
    assert (read.id, read.channel) == (golden.frame.get("id", ""), golden.frame.get("channel", ""))
    assert (read.position is not None) == ("epoch" in golden.frame)
    assert read.is_message == (read.type in MESSAGE_TYPES and "epoch" in golden.frame)


@pytest.mark.parametrize("text", ["", "x", "[]", "1", "{}", '{"type": 1}', "[" * 100_000, '{"type": "x"'])
def test_what_is_no_frame_is_refused(text: str) -> None:
    with pytest.raises(errors.ServerFault, match="no frame"):
        parse_frame(text)


def test_fields_of_a_wrong_type_are_as_if_they_were_not_there() -> None:
    read = parse_frame('{"type": "x", "data": [1], "id": 7, "channel": null, "epoch": "e", "offset": "1"}')
    assert (read.data, read.id, read.channel, read.position) == ({}, "", "", None)
    assert position_in({"epoch": "e", "offset": 1}) == Position("e", 1)
    assert position_in({"epoch": "e", "offset": True}) is None
    assert position_in({"epoch": "e", "offset": -1}) is None


def test_message_types_are_those_of_the_protocol() -> None:
    assert set(MESSAGE_TYPES) == edge_frames.MESSAGE_TYPES


def test_frames_of_this_client_are_those_of_the_contracts() -> None:
    connect = {"api_key": "k", "connection_type": "chat", "domain": "d", "workspace": "w"}
    for frame_type, data in (
        ("connect", connect),
        ("join_channel", {"channel": "a", "recover": {"epoch": "e", "offset": 1}}),
        ("join_channel", {"channel": "a", "recover": "last_acked"}),
        ("ack", {"channel": "a", "epoch": "e", "offset": 1}),
        ("ping", {}),
    ):
        text = encode_frame(frame_type, data, "f-1")
        json_format.Parse(text, CLIENT_FRAMES[frame_type]())
        assert json.loads(text) == {"type": frame_type, "id": "f-1", "data": data}
    assert "id" not in json.loads(encode_frame("ack", {}))


def test_the_data_of_a_message_stays_as_it_was_given() -> None:
    data = '{ "content" : "gr\u00fc\u00df",  "n": 1.0e2, "n": 2 }'.encode()
    text = encode_message("chat_message", 'm"1', "a/b", data)
    assert data.decode() in text
    read = json.loads(text)
    assert (read["type"], read["id"], read["channel"]) == ("chat_message", 'm"1', "a/b")


EXPECTED = {
    ("permission_denied", 403): errors.CallerNotAllowed,
    ("invalid_format", 400): errors.InvalidRequest,
    ("unknown_type", 400): errors.InvalidRequest,
    ("channel_error", 400): errors.InvalidRequest,
    ("channel_error", 404): errors.NotFound,
    ("channel_error", 409): errors.FailedPrecondition,
    ("message_error", 400): errors.InvalidRequest,
    ("message_error", 413): errors.LimitExceeded,
    ("rate_limited", 429): errors.LimitExceeded,
    ("timeout", 504): errors.ServiceTimeout,
    ("unavailable", 503): errors.ServiceUnavailable,
}


@pytest.mark.parametrize(("error_type", "codes"), [(name, codes) for name, (codes, _) in ERRORS.items()])
def test_every_error_of_the_protocol_has_its_exception(error_type: str, codes: frozenset[int]) -> None:
    for code in codes:
        received = error_frame(error_type, code)
        if ends(received):
            continue
        problem = error_of(received)
        assert type(problem) is EXPECTED[error_type, code]
        assert (str(problem), problem.reason) == (f"words of {error_type}", error_type)


@pytest.mark.parametrize(("error_type", "close_code"), [(name, close) for name, (_, close) in ERRORS.items()])
def test_which_errors_end_the_connection_is_as_the_protocol_says(error_type: str, close_code: int | None) -> None:
    sometimes = error_type in ("invalid_format", "rate_limited")
    assert ends(error_frame(error_type, 0)) is (close_code is not None and not sometimes)


def test_what_passes_may_be_sent_again() -> None:
    assert {name for name in ERRORS if passes(error_frame(name, 0))} == {"rate_limited", "timeout", "unavailable"}


def test_an_error_says_if_repeating_is_safe() -> None:
    assert error_of(error_frame("timeout", 504)).safe_to_repeat
    assert not error_of(error_frame("timeout", 504, details={"safe_to_repeat": False})).safe_to_repeat
    assert error_of(error_frame("timeout", 504, details=7)).safe_to_repeat


def test_an_error_that_is_not_known_yet_is_a_fault_of_the_server() -> None:
    assert type(error_of(error_frame("new", 999))) is errors.ServerFault
    assert type(error_of(frame("error"))) is errors.ServerFault


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [
        *[(740, 0.74), (0, 0.0), (-5, 0.0), (None, None), ("1", None), (True, None)],
        *[(10**400, DAY_S), (float("inf"), DAY_S), (float("nan"), 0.0)],
    ],
)
def test_when_to_come_again(wait: object, seconds: float | None) -> None:
    assert retry_after_s(frame("error", retry_after_ms=wait)) == seconds


@pytest.mark.parametrize(("code", "comes_back"), CLOSE_CODES.items())
def test_close_codes_decide_as_the_protocol_says(code: int, comes_back: bool) -> None:
    problem = closed(code)
    assert isinstance(problem, errors.ConnectionLost if comes_back else errors.ConnectionRefused)
    if isinstance(problem, errors.ConnectionRefused):
        assert problem.code == code


def test_the_disconnect_frame_decides() -> None:
    lost = goodbye(frame("disconnect", reason="draining", code=1001, reconnect=True, retry_after_ms=740), None)
    assert isinstance(lost, errors.ConnectionLost)
    assert (str(lost), lost.retry_after_s) == ("draining", 0.74)
    refused = goodbye(
        frame("disconnect", reason="API key revoked", code=4000, reconnect=False), error_frame("key_revoked", 403)
    )
    assert isinstance(refused, errors.ConnectionRefused)
    assert (str(refused), refused.code, refused.error_type) == ("API key revoked", 4000, "key_revoked")
    assert isinstance(goodbye(frame("disconnect"), None), errors.ConnectionRefused)
