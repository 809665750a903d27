"""Channels, edges and sessions of a process."""

from __future__ import annotations

import pytest

from session_service.core.hub import Hub, PresenceChange
from session_service.core.model import Member, Position
from session_service.core.sessions import Edge, Session
from session_service.core.topic import broadcast_topic, inbox_topic
from tests.unit.session_service.fakes import EPOCH, NOW_MS, TOPIC, RecordingOutlet, a_budget, a_message, facts

ALICE = Member("alice", "chat", NOW_MS)


@pytest.fixture
def hub() -> Hub:
    return Hub(a_budget())


@pytest.fixture
def edge(hub: Hub) -> Edge:
    return hub.attach("edge-1", RecordingOutlet())


def opened(hub: Hub, edge: Edge, number: int = 1, client_id: str = "alice") -> Session:
    session, gone = hub.open_session(edge, number, facts(client_id))
    assert gone == []
    return session


def joined(hub: Hub, session: Session, topic: str = TOPIC) -> list[PresenceChange]:
    channel = hub.channels.get(topic) or hub.activate(topic, Position(EPOCH, 0))
    return hub.join(session, channel, watch=False, first=channel.head, now_ms=NOW_MS)


def test_joining_and_leaving_say_who_came_and_went(hub: Hub, edge: Edge) -> None:
    session = opened(hub, edge)
    assert joined(hub, session) == [PresenceChange(TOPIC, ALICE, True)]
    assert joined(hub, session) == []
    assert hub.leave(session, TOPIC) == [PresenceChange(TOPIC, ALICE, False)]
    assert hub.leave(session, TOPIC) == []


@pytest.mark.parametrize("topic", [broadcast_topic("tests", "w1"), inbox_topic("tests", "w1", "alice")])
def test_standing_channels_have_no_presence(hub: Hub, edge: Edge, topic: str) -> None:
    session = opened(hub, edge)
    assert joined(hub, session, topic) == []
    assert hub.leave(session, topic) == []


def test_messages_of_channels_that_are_not_active_go_nowhere(hub: Hub, edge: Edge) -> None:
    session = opened(hub, edge)
    joined(hub, session)
    assert hub.deliver(a_message(1)) == [edge]
    assert hub.deliver(a_message(1, "tests/w1/other")) == []


def test_a_closed_session_leaves_everything(hub: Hub, edge: Edge) -> None:
    session = opened(hub, edge)
    joined(hub, session)
    joined(hub, session, "tests/w1/tasks")
    gone = hub.close_session(session)
    assert {change.topic for change in gone} == {TOPIC, "tests/w1/tasks"}
    assert (session.open, edge.sessions, session.topics) == (False, {}, {})
    assert hub.close_session(session) == []


def test_a_number_that_is_used_anew_closes_the_session_that_had_it(hub: Hub, edge: Edge) -> None:
    old = opened(hub, edge)
    joined(hub, old)
    new, gone = hub.open_session(edge, 1, facts("bob"))
    assert gone == [PresenceChange(TOPIC, ALICE, False)]
    assert (old.open, new.open, edge.sessions) == (False, True, {1: new})


def test_sessions_of_a_client_on_every_edge(hub: Hub, edge: Edge) -> None:
    other = hub.attach("edge-2", RecordingOutlet())
    inbox = inbox_topic("tests", "w1", "alice")
    assert hub.sessions_of("tests", "w1", "alice") == []
    first, second = opened(hub, edge), opened(hub, other)
    joined(hub, first, inbox)
    joined(hub, second, inbox)
    assert hub.sessions_of("tests", "w1", "alice") == [first, second]
    assert hub.sessions_of("tests", "w2", "alice") == []


def test_an_edge_that_is_away_keeps_its_members_and_is_sent_nothing(hub: Hub, edge: Edge) -> None:
    session = opened(hub, edge)
    joined(hub, session)
    hub.detach(edge)
    assert edge.outlet is None
    assert hub.deliver(a_message(1)) == []
    assert hub.channels[TOPIC].members() == [ALICE]


def test_an_edge_that_came_back_names_what_it_still_has(hub: Hub, edge: Edge) -> None:
    kept, silent = opened(hub, edge, 1), opened(hub, edge, 2, "bob")
    for session in (kept, silent):
        joined(hub, session)
        joined(hub, session, "tests/w1/tasks")
    assert hub.attach("edge-1", RecordingOutlet()) is edge
    assert (kept.stale, silent.stale) == (True, True)
    assert hub.open_session(edge, 1, kept.facts) == (kept, [])
    assert hub.confirm(edge, TOPIC, [1, 99]) == [kept]
    assert hub.finish_replay(edge) == [
        PresenceChange(TOPIC, Member("bob", "chat", NOW_MS), False),
        PresenceChange("tests/w1/tasks", Member("bob", "chat", NOW_MS), False),
        PresenceChange("tests/w1/tasks", ALICE, False),
    ]
    assert edge.sessions == {1: kept}
    assert set(kept.topics) == {TOPIC}
    assert hub.finish_replay(edge) == []


def test_joining_again_names_a_membership_too(hub: Hub, edge: Edge) -> None:
    session = opened(hub, edge)
    joined(hub, session)
    hub.attach("edge-1", RecordingOutlet())
    hub.open_session(edge, 1, session.facts)
    joined(hub, session)
    assert hub.finish_replay(edge) == []


def test_an_edge_that_is_removed_takes_its_members_with_it(hub: Hub, edge: Edge) -> None:
    other = hub.attach("edge-2", RecordingOutlet())
    joined(hub, opened(hub, edge))
    joined(hub, opened(hub, other, 1, "bob"))
    assert hub.remove_edge(edge) == [PresenceChange(TOPIC, ALICE, False)]
    assert set(hub.edges) == {"edge-2"}
    assert hub.remove_edge(edge) == []


def test_idle_channels_go_at_the_second_sweep_and_give_their_bytes_back(edge: Edge) -> None:
    budget = a_budget()
    hub = Hub(budget)
    session = opened(hub, hub.attach("edge-1", RecordingOutlet()))
    joined(hub, session)
    hub.deliver(a_message(1))
    assert budget.total_bytes > 0
    assert hub.sweep() == []
    hub.leave(session, TOPIC)
    assert hub.sweep() == []
    hub.channels[TOPIC].pins += 1
    assert hub.sweep() == []
    hub.channels[TOPIC].pins -= 1
    assert hub.sweep() == []
    assert hub.sweep() == [TOPIC]
    assert (hub.channels, budget.total_bytes) == ({}, 0)
