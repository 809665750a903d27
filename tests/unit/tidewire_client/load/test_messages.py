"""Messages say whose they are, which, and when they were due."""

from __future__ import annotations

import json

import pytest

from tidewire_client.load.messages import SHORTEST_BYTES, Message, Writer, mark_of, number_in_id, read_message

RUN = "0a1b2c3d"


def data_of(frame: bytes) -> bytes:
    return json.dumps(json.loads(frame)["data"]).encode()


@pytest.mark.parametrize("size", [SHORTEST_BYTES, SHORTEST_BYTES + 1, 1000])
def test_what_is_written_is_read(size: int) -> None:
    frame = Writer(RUN, 1234567, "room-1", size).frame(42, 9_876_543_210)
    fields = json.loads(frame)
    assert (fields["type"], fields["channel"], fields["id"]) == ("chat_message", "room-1", f"{RUN}-1234567-42")
    assert len(fields["data"]["content"]) == size
    assert read_message(data_of(frame), mark_of(RUN)) == Message(1234567, 42, 9_876_543_210)


def test_a_message_too_short_for_what_it_says_is_refused() -> None:
    with pytest.raises(ValueError, match=str(SHORTEST_BYTES)):
        Writer(RUN, 1, "c", SHORTEST_BYTES - 1)


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"content":"hello"}',
        data_of(Writer("ffffffff", 1, "c", 50).frame(0, 0)),
        b'{"content":"@tw-0a1b2c3d123"}',
        b'{"content":"@tw-0a1b2c3d' + b"x" * 40 + b'"}',
    ],
)
def test_what_is_not_of_this_run_is_none(data: bytes) -> None:
    assert read_message(data, mark_of(RUN)) is None


@pytest.mark.parametrize(
    ("message_id", "number"),
    [(f"{RUN}-7-42", 42), (f"{RUN}-7", None), ("connect", None), ("ffffffff-7-42", None), (f"{RUN}-7-x", None)],
)
def test_numbers_in_ids(message_id: str, number: int | None) -> None:
    assert number_in_id(message_id, RUN) == number
