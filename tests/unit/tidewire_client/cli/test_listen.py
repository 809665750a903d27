import json
from typing import Any

import pytest

from tests.unit.tidewire_client.peers import message
from tidewire_client.cli.listen import Printing
from tidewire_client.cli.output import Output
from tidewire_client.edge_frames import parse_frame
from tidewire_client.listener import Interrupted, Joined, Lost, Received
from tidewire_client.message import Position

Captured = pytest.CaptureFixture[str]
LOST = Lost("lobby", "history_expired", parse_frame('{"type": "subscription_success", "data": {"recovered": false}}'))


def received(offset: int = 7, **more: Any) -> Received:
    return Received(parse_frame(json.dumps({**message(offset), **more})))


def printing(*types: str, as_json: bool = False, count: int | None = None) -> Printing:
    return Printing(Output(as_json=as_json), frozenset(types), count)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"data": {"content": "hi"}}, "hi"),
        ({"data": {"content": "a\nb\x1b[0m"}}, "a\\nb\\x1b[0m"),
        ({"data": {"content": "hi", "n": 1}}, 'chat_message {"content": "hi", "n": 1}'),
        ({"data": {"content": {"a": "\u00fc"}}}, 'chat_message {"content": {"a": "\u00fc"}}'),
        ({"type": "task_update", "data": {"content": "done"}}, 'task_update {"content": "done"}'),
    ],
)
def test_a_message_is_one_readable_line(capsys: Captured, more: dict[str, Any], words: str) -> None:
    printing().take(received(**more))
    line = capsys.readouterr().out
    assert line.endswith(f"  #7  alice  {words}\n")
    assert line.count("\n") == 1
    assert line[2] == line[5] == ":"


def test_a_time_that_is_none_and_a_sender_with_controls(capsys: Captured) -> None:
    printing().take(received(timestamp="\x1bnow", client_id="al\x07ice"))
    assert capsys.readouterr().out == "\\x1bnow  #7  al\\x07ice  text 7\n"


def test_programs_get_the_frame_as_it_came(capsys: Captured) -> None:
    event = received()
    printing(as_json=True).take(event)
    assert capsys.readouterr() == (event.frame.text + "\n", "")


def test_only_some_types(capsys: Captured) -> None:
    some = printing("task_update")
    assert not some.take(received())
    assert not some.take(received(type="task_update"))
    assert capsys.readouterr().out.count("\n") == 1


def test_it_ends_after_so_many_that_were_printed() -> None:
    some = printing("task_update", count=2)
    assert [some.take(received(type=t)) for t in ("chat_message", "task_update", "chat_message", "task_update")] == [
        False,
        False,
        False,
        True,
    ]


def test_what_happens_besides_is_told_to_people_only(capsys: Captured) -> None:
    for as_json in (False, True):
        some = printing(as_json=as_json)
        for event in (Interrupted("no edge\n", 0.25), Joined("lobby", Position("e", 1)), Interrupted("gone", 1.0)):
            assert not some.take(event)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "not connected yet: no edge\\n; again in 0.2 s",
        "listening to lobby; Ctrl-C ends",
        "interrupted: gone; again in 1.0 s",
    ]


def test_lost_messages_are_told_to_everybody(capsys: Captured) -> None:
    printing().take(LOST)
    printing(as_json=True).take(LOST)
    assert capsys.readouterr() == (LOST.frame.text + "\n", "messages of lobby are lost: history_expired\n")
