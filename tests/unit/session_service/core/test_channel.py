"""One active channel: what is accepted, who is in it, who it goes to."""

from __future__ import annotations

from session_service.core.model import Member, Position
from session_service.core.sessions import Edge
from tests.unit.session_service.fakes import EPOCH, NOW_MS, a_channel, a_message, a_session


def test_messages_go_to_edges_with_members_in_order_each_once() -> None:
    gaps: list[None] = []
    channel, edge = a_channel(4, on_gap=lambda: gaps.append(None)), Edge("e")
    assert channel.accept(a_message(5)) == []
    channel.add(a_session(edge), watch=False, first=5, now_ms=NOW_MS)
    assert channel.accept(a_message(6)) == [edge]
    assert channel.accept(a_message(6)) == []
    assert channel.accept(a_message(5)) == []
    assert channel.position == Position(EPOCH, 6)
    assert not gaps


def test_an_edge_gets_a_message_once_however_many_members_it_has() -> None:
    channel, edge, other = a_channel(), Edge("e"), Edge("f")
    for number, client_id in enumerate(("alice", "bob", "alice"), start=1):
        channel.add(a_session(edge, number, client_id), watch=False, first=0, now_ms=NOW_MS)
    channel.add(a_session(other), watch=False, first=0, now_ms=NOW_MS)
    assert channel.accept(a_message(1)) == [edge, other]


def test_after_a_gap_the_ring_begins_anew() -> None:
    gaps: list[None] = []
    channel = a_channel(on_gap=lambda: gaps.append(None))
    channel.accept(a_message(1))
    assert channel.covers(0)
    channel.accept(a_message(4))
    assert channel.head == 4
    assert len(gaps) == 1
    assert [channel.covers(offset) for offset in (0, 2, 3, 4, 9)] == [False, False, True, True, True]
    assert [message.offset for message in channel.ring.after(0)] == [4]


def test_a_new_epoch_begins_anew_whatever_its_offset() -> None:
    gaps: list[None] = []
    channel = a_channel(10, on_gap=lambda: gaps.append(None))
    channel.accept(a_message(11))
    channel.accept(a_message(1, epoch="e2"))
    assert channel.position == Position("e2", 1)
    assert [message.epoch for message in channel.ring.after(0)] == ["e2"]
    assert len(gaps) == 1


def test_presence_is_from_the_first_session_to_the_last() -> None:
    channel, edge, other = a_channel(), Edge("e"), Edge("f")
    first, second = a_session(edge, 1), a_session(other, 1)
    member = Member("alice", "chat", NOW_MS)
    assert channel.add(first, watch=False, first=0, now_ms=NOW_MS) == member
    assert channel.add(second, watch=False, first=0, now_ms=NOW_MS + 5) is None
    assert channel.members() == [member]
    assert channel.remove(first) is None
    assert channel.members() == [member]
    assert channel.remove(second) == member
    assert channel.members() == []
    assert not channel.in_use


def test_joining_twice_is_joining_once() -> None:
    channel, session = a_channel(), a_session(Edge("e"))
    channel.add(session, watch=True, first=0, now_ms=NOW_MS)
    assert channel.add(session, watch=False, first=0, now_ms=NOW_MS) is None
    assert channel.watching() == []
    assert channel.remove(session) is not None


def test_members_are_listed_by_join_time() -> None:
    channel, edge = a_channel(), Edge("e")
    for number, (client_id, later) in enumerate((("carol", 2), ("bob", 1), ("alice", 1)), start=1):
        channel.add(a_session(edge, number, client_id), watch=False, first=0, now_ms=NOW_MS + later)
    assert [member.client_id for member in channel.members()] == ["alice", "bob", "carol"]


def test_only_edges_with_watchers_are_told_of_presence() -> None:
    channel, edge, other = a_channel(), Edge("e"), Edge("f")
    watcher = a_session(edge, 1)
    channel.add(watcher, watch=True, first=0, now_ms=NOW_MS)
    channel.add(a_session(edge, 2, "bob"), watch=False, first=0, now_ms=NOW_MS)
    channel.add(a_session(other), watch=False, first=0, now_ms=NOW_MS)
    assert channel.watching() == [edge]
    channel.remove(watcher)
    assert channel.watching() == []


def test_a_paused_edge_is_sent_nothing_until_it_resumes_or_joins() -> None:
    channel, edge, stranger = a_channel(), Edge("e"), Edge("x")
    session = a_session(edge)
    channel.add(session, watch=False, first=0, now_ms=NOW_MS)
    channel.pause(edge)
    assert channel.accept(a_message(1)) == []
    channel.resume(edge)
    assert channel.accept(a_message(2)) == [edge]
    channel.pause(edge)
    channel.add(session, watch=False, first=2, now_ms=NOW_MS)
    assert channel.accept(a_message(3)) == [edge]
    channel.pause(stranger)
    channel.resume(stranger)
    assert channel.accept(a_message(4)) == [edge]


def test_reach_counts_clients_on_attached_edges() -> None:
    channel, edge, other = a_channel(), Edge("e"), Edge("f")
    channel.add(a_session(edge, 1, "alice"), watch=False, first=0, now_ms=NOW_MS)
    channel.add(a_session(edge, 2, "bob"), watch=False, first=0, now_ms=NOW_MS)
    channel.add(a_session(other, 1, "bob"), watch=False, first=0, now_ms=NOW_MS)
    assert channel.reach() == 2
    channel.pause(edge)
    assert channel.reach() == 1


def test_written_is_what_was_reached_then_or_is_here_now() -> None:
    channel, edge = a_channel(), Edge("e")
    alice, bob = a_session(edge, 1, "alice"), a_session(edge, 2, "bob")
    channel.add(alice, watch=False, first=0, now_ms=NOW_MS)
    channel.add(bob, watch=False, first=0, now_ms=NOW_MS)
    channel.accept(a_message(1))
    channel.remove(bob)
    assert channel.written(1) == 2
    channel.accept(a_message(2))
    assert channel.written(2) == 1
    channel.add(a_session(edge, 3, "carol"), watch=False, first=1, now_ms=NOW_MS)
    assert (channel.written(1), channel.written(2), channel.written(3)) == (2, 2, 0)
    channel.ring.clear()
    assert (channel.written(1), channel.written(2)) == (1, 2)


def test_a_client_was_sent_what_its_earliest_session_was_sent() -> None:
    channel, edge = a_channel(9), Edge("e")
    channel.add(a_session(edge, 1), watch=False, first=8, now_ms=NOW_MS)
    channel.add(a_session(edge, 2), watch=False, first=3, now_ms=NOW_MS)
    channel.add(a_session(edge, 3), watch=False, first=9, now_ms=NOW_MS)
    assert [channel.written(offset) for offset in (3, 4, 9)] == [0, 1, 1]


def test_a_pinned_channel_is_in_use() -> None:
    channel = a_channel()
    channel.pins += 1
    assert channel.in_use
