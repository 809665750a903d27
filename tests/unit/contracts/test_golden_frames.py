"""Golden frames against protobuf's JSON mapping, and against the tables of protocol.md."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from tidewire.edge.v1 import errors_pb2

from tests.support.frame_catalogue import CLIENT_FRAMES, CLOSE_CODES, ERRORS, SERVER_FRAMES
from tests.support.golden import GOLDEN_DIR, GoldenFrame, golden_frames

GOLDEN = golden_frames()
# Fields of 64 bits, which protobuf's JSON mapping prints as decimal strings.
WIDE = {
    "offset",
    "retry_after_ms",
    "max_frame_bytes",
    "max_message_bytes",
    "bytes_per_second",
    "max_outbox_bytes",
}


def as_on_the_wire(printed: Any) -> Any:
    """Turn the decimal strings of ProtoJSON into the numbers that the edge writes."""
    if isinstance(printed, dict):
        return {
            key: int(value) if key in WIDE and isinstance(value, str) else as_on_the_wire(value)
            for key, value in printed.items()
        }
    return [as_on_the_wire(item) for item in printed] if isinstance(printed, list) else printed


def types_of(direction: str) -> set[str]:
    return {g.frame["type"] for g in GOLDEN if g.direction == direction}


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda g: g.name)
def test_frame_is_its_message_and_back(golden: GoldenFrame) -> None:
    message = json_format.ParseDict(golden.frame, golden.message_type())
    assert as_on_the_wire(json_format.MessageToDict(message)) == golden.frame


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda g: g.name)
def test_frame_survives_the_binary_form(golden: GoldenFrame) -> None:
    message = json_format.ParseDict(golden.frame, golden.message_type())
    again = golden.message_type.FromString(message.SerializeToString())
    assert as_on_the_wire(json_format.MessageToDict(again)) == golden.frame


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda g: g.name)
def test_file_says_what_it_holds(golden: GoldenFrame) -> None:
    assert (GOLDEN_DIR / f"{golden.name}.json").is_file()
    assert golden.direction in ("client", "server")
    assert golden.description.endswith((".", "?"))
    catalogue = CLIENT_FRAMES if golden.direction == "client" else SERVER_FRAMES
    if not golden.name.startswith("server_echo"):
        assert golden.message_type is catalogue[golden.frame["type"]]


def test_every_frame_of_a_client_is_covered() -> None:
    assert types_of("client") == set(CLIENT_FRAMES)
    assert len(CLIENT_FRAMES) == 16


def test_every_frame_of_the_server_is_covered() -> None:
    assert types_of("server") - {"made_up"} == set(SERVER_FRAMES)
    assert len(SERVER_FRAMES) == 20


def test_every_error_is_covered_with_each_of_its_codes() -> None:
    seen = {
        (g.frame["data"]["error_type"], g.frame["data"].get("code"))
        for g in GOLDEN
        if g.frame["type"] == "error" and not g.name.endswith("_without_code")
    }
    assert seen == {(name, code) for name, (codes, _) in ERRORS.items() for code in codes}
    assert len(ERRORS) == 16


def test_every_close_code_is_covered_and_says_if_a_client_may_come_back() -> None:
    frames = [g.frame["data"] for g in GOLDEN if g.name.startswith("server_disconnect")]
    assert {data["code"]: data["reconnect"] for data in frames} == CLOSE_CODES
    assert all(("retry_after_ms" in data) == data["reconnect"] for data in frames)
    assert len(CLOSE_CODES) == 9


def test_error_enum_names_the_error_types() -> None:
    names = {name.removeprefix("ERROR_TYPE_").lower() for name in dict(errors_pb2.ErrorType.items())}
    assert names == {*ERRORS, "unspecified"}


def test_close_code_enum_has_the_codes_as_values() -> None:
    assert set(errors_pb2.CloseCode.values()) == {0, *CLOSE_CODES}


def test_unknown_fields_are_refused_by_the_messages_themselves() -> None:
    """So that the tests notice a field that the contracts do not know; on the wire both sides ignore it."""
    with pytest.raises(json_format.ParseError):
        json_format.Parse(json.dumps({"type": "ping", "surprise": 1}), CLIENT_FRAMES["ping"]())
