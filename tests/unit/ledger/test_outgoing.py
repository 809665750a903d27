"""When a frame without an answer is sent, and sent again."""

from __future__ import annotations

from tests.ledger.outgoing import Requests


def due(requests: Requests, now_s: float, *joined: str) -> list[str]:
    return [request.frame["id"] for request in requests.due(now_s, joined)]


def test_sent_once_until_it_is_to_be_repeated() -> None:
    requests = Requests()
    requests.add({"id": "m"}, 1.0)
    assert due(requests, 0.9) == []
    assert due(requests, 1.0) == ["m"]
    assert due(requests, 2.0) == []
    requests.repeat("m", 3.0)
    assert due(requests, 2.9) == []
    assert [request.sends for request in requests.due(3.0, ())] == [2]


def test_waits_for_its_channel() -> None:
    requests = Requests()
    requests.add({"id": "m"}, 0.0, "c")
    assert due(requests, 1.0) == []
    assert due(requests, 1.0, "c") == ["m"]


def test_an_answer_ends_it_once() -> None:
    requests = Requests()
    requests.add({"id": "m"}, 0.0)
    assert "m" in requests
    request = requests.answered("m")
    assert request is not None
    assert request.made_s == 0.0
    assert requests.answered("m") is None
    assert len(requests) == 0


def test_another_connection_sends_all_again() -> None:
    requests = Requests()
    for name in ("m", "n"):
        requests.add({"id": name}, 0.0)
    assert due(requests, 0.0) == ["m", "n"]
    requests.repeat_all(1.0)
    assert due(requests, 1.0) == ["m", "n"]


def test_overdue_is_what_was_sent_and_not_answered() -> None:
    requests = Requests()
    requests.add({"id": "sent"}, 0.0)
    assert due(requests, 5.0) == ["sent"]
    requests.add({"id": "waiting"}, 6.0)
    assert requests.overdue(5.0) == []
    assert requests.overdue(5.1) == ["sent"]
