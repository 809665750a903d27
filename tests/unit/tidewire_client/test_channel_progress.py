import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tidewire_client.peers import message
from tidewire_client.channel_progress import ChannelProgress, Continuity
from tidewire_client.edge_frames import Frame, parse_frame
from tidewire_client.message import Position

NEXT, SEEN, GAP = Continuity.NEXT, Continuity.SEEN, Continuity.GAP


def success(offset: int, epoch: str = "e1", **more: Any) -> Frame:
    data = {"channel": "lobby", "epoch": epoch, "offset": offset, "recovered": True, **more}
    return parse_frame(json.dumps({"type": "subscription_success", "channel": "lobby", "data": data}))


def come(progress: ChannelProgress, *offsets: int, epoch: str = "e1") -> list[Continuity]:
    return [progress.take(parse_frame(json.dumps(message(offset, epoch=epoch)))) for offset in offsets]


def test_a_plain_join_begins_with_what_comes_from_now_on() -> None:
    progress = ChannelProgress("lobby")
    assert progress.join_data() == {"channel": "lobby"}
    assert progress.joined(success(7)) is None
    assert progress.position == Position("e1", 7)
    assert come(progress, 7, 8, 8, 9) == [SEEN, NEXT, SEEN, NEXT]
    assert progress.join_data() == {"channel": "lobby", "recover": {"epoch": "e1", "offset": 9}}


def test_history_begins_before_its_first_message() -> None:
    progress = ChannelProgress("lobby", history=3)
    assert progress.join_data() == {"channel": "lobby", "history": 3}
    progress.joined(success(7))
    assert progress.position == Position("e1", 4)
    assert come(progress, 5, 6, 7, 8) == [NEXT] * 4


def test_a_connection_that_ends_before_the_history_came_loses_nothing_of_it() -> None:
    progress = ChannelProgress("lobby", history=3)
    progress.joined(success(7))
    assert progress.join_data() == {"channel": "lobby", "recover": {"epoch": "e1", "offset": 4}}


def test_more_history_than_there_is() -> None:
    progress = ChannelProgress("lobby", history=100)
    progress.joined(success(2))
    assert come(progress, 1, 2) == [NEXT, NEXT]


def test_history_of_which_a_part_is_no_longer_kept() -> None:
    progress = ChannelProgress("lobby", history=100)
    progress.joined(success(50))
    assert come(progress, 30, 31, 33) == [NEXT, NEXT, GAP]


def test_since_begins_after_a_place() -> None:
    progress = ChannelProgress("lobby", since=Position("e1", 3))
    assert progress.join_data()["recover"] == {"epoch": "e1", "offset": 3}
    progress.joined(success(7))
    assert progress.position == Position("e1", 3)
    assert come(progress, 4, 5) == [NEXT, NEXT]


def test_an_empty_channel() -> None:
    progress = ChannelProgress("lobby", history=5)
    progress.joined(success(0))
    assert progress.position == Position("e1", 0)
    assert come(progress, 1) == [NEXT]


def test_what_was_acknowledged_is_known_to_the_server_alone() -> None:
    progress = ChannelProgress("lobby", last_acked=True)
    assert progress.join_data()["recover"] == "last_acked"
    assert not progress.unsettled
    progress.joined(success(7))
    assert progress.unsettled
    progress.settle(past_follows=True)
    assert progress.position is None
    assert progress.join_data()["recover"] == "last_acked"
    assert come(progress, 3, 4, 6) == [NEXT, NEXT, GAP]
    assert not progress.unsettled


def test_if_nothing_was_acknowledged_it_begins_where_the_channel_stands() -> None:
    progress = ChannelProgress("lobby", last_acked=True)
    progress.joined(success(7))
    progress.settle(past_follows=False)
    assert progress.position == Position("e1", 7)
    progress.settle(past_follows=False)
    assert come(progress, 8) == [NEXT]


def test_a_gap_is_found_and_not_passed_over() -> None:
    progress = ChannelProgress("lobby")
    progress.joined(success(7))
    assert come(progress, 9) == [GAP]
    assert progress.position == Position("e1", 7)
    progress.joined(success(9))
    assert come(progress, 8, 9) == [NEXT, NEXT]


@pytest.mark.parametrize("reason", ["history_expired", "epoch_changed"])
def test_a_loss_is_told_and_what_is_kept_follows(reason: str) -> None:
    progress = ChannelProgress("lobby", since=Position("e1", 3))
    epoch = "e2" if reason == "epoch_changed" else "e1"
    assert progress.joined(success(90, epoch, recovered=False, reason=reason)) == reason
    assert come(progress, 80, 81, 83, epoch=epoch) == [NEXT, NEXT, GAP]


def test_a_loss_without_a_reason_is_one_all_the_same() -> None:
    assert ChannelProgress("lobby").joined(success(1, recovered=False)) == "unknown"


def test_the_server_can_say_that_delivery_goes_on_elsewhere() -> None:
    progress = ChannelProgress("lobby")
    progress.joined(success(7))
    assert progress.moved(success(20, recovered=False, reason="history_expired")) == "history_expired"
    assert come(progress, 20, 21) == [SEEN, NEXT]
    broken = parse_frame('{"type": "subscription_success", "data": {}}')
    assert progress.moved(broken) is None
    assert progress.joined(broken) is None
    assert progress.position == Position("e1", 21)


def test_a_message_without_a_place_is_nothing() -> None:
    assert ChannelProgress("lobby").take(parse_frame('{"type": "chat_message"}')) is SEEN


@given(st.data())
def test_over_any_interruptions_each_message_comes_once_and_in_order(data: st.DataObject) -> None:
    """A channel grows, connections break off anywhere, and each new one replays from where the client says it stands."""
    progress, head, taken = ChannelProgress("lobby"), data.draw(st.integers(0, 5)), []
    first = head
    for _ in range(data.draw(st.integers(1, 6))):
        asked = progress.join_data().get("recover")
        since = head if asked is None else asked["offset"]
        progress.joined(success(head))
        head += data.draw(st.integers(0, 5))
        for offset in range(since + 1, data.draw(st.integers(since, head)) + 1):
            taken += [offset] * (come(progress, offset) == [NEXT])
            come(progress, data.draw(st.integers(0, offset)))
    assert taken == list(range(first + 1, first + 1 + len(taken)))
