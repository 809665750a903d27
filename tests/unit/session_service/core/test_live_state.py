"""Hub, channels and rings together against a model: whatever edges and clients do, in whatever order.

The model knows what each edge was sent since it became live in a channel, who is present by what was announced, and
where the engine stands.
"""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from session_service.core.hub import Hub, PresenceChange
from session_service.core.model import Position, weight
from session_service.core.sessions import Edge, Session
from session_service.core.topic import broadcast_topic
from tests.unit.session_service.fakes import EPOCH, RecordingOutlet, a_budget, a_message, facts

EDGES = st.sampled_from(["edge-1", "edge-2"])
NUMBERS = st.integers(1, 3)
CLIENTS = st.sampled_from(["alice", "bob"])
CHANNELS = ("tests/w1/chat", "tests/w1/tasks")
TOPICS = st.sampled_from([*CHANNELS, broadcast_topic("tests", "w1")])


class LiveState(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.budget = a_budget(max_messages=4, max_bytes=10_000, max_total_bytes=1_500)
        self.hub = Hub(self.budget)
        self.stored: dict[str, int] = {}
        self.members: set[tuple[str, int, str]] = set()  # edge, number, topic
        self.unnamed: set[tuple[str, int, str]] = set()
        self.clients: dict[tuple[str, int], str] = {}
        self.unnamed_sessions: set[tuple[str, int]] = set()
        self.present: set[tuple[str, str]] = set()  # topic, client
        self.live_after: dict[tuple[str, str], int] = {}  # edge, topic: the offset that it was live from
        self.sent: dict[tuple[str, str], list[int]] = {}
        self.clock_ms = 0

    # What happens.

    @rule(edge_id=EDGES)
    def attach(self, edge_id: str) -> None:
        self._not_live(edge_id)
        self.hub.attach(edge_id, RecordingOutlet())
        self.unnamed_sessions |= {key for key in self.clients if key[0] == edge_id}
        self.unnamed |= {member for member in self.members if member[0] == edge_id}

    @rule(edge_id=EDGES)
    def detach(self, edge_id: str) -> None:
        if edge_id in self.hub.edges:
            self.hub.detach(self.hub.edges[edge_id])
            self._not_live(edge_id)

    @rule(edge_id=EDGES)
    def remove_edge(self, edge_id: str) -> None:
        if edge_id in self.hub.edges:
            changes = self.hub.remove_edge(self.hub.edges[edge_id])
            for number in [number for other, number in self.clients if other == edge_id]:
                self._forget(edge_id, number)
            self._announce(changes)

    @rule(edge_id=EDGES)
    def finish_replay(self, edge_id: str) -> None:
        if edge_id not in self.hub.edges:
            return
        changes = self.hub.finish_replay(self.hub.edges[edge_id])
        for key in [key for key in self.unnamed_sessions if key[0] == edge_id]:
            self._forget(*key)
        for member in [member for member in self.unnamed if member[0] == edge_id]:
            self._drop(member)
        self._announce(changes)

    @rule(edge_id=EDGES, number=NUMBERS, client_id=CLIENTS)
    def open_session(self, edge_id: str, number: int, client_id: str) -> None:
        if self._attached(edge_id) is None:
            return
        if self.clients.get((edge_id, number)) not in (None, client_id):
            self._forget(edge_id, number)
        session, changes = self.hub.open_session(self.hub.edges[edge_id], number, facts(client_id))
        assert session.open
        assert not session.stale
        self.clients[edge_id, number] = client_id
        self.unnamed_sessions.discard((edge_id, number))
        self._announce(changes)

    @rule(edge_id=EDGES, number=NUMBERS)
    def close_session(self, edge_id: str, number: int) -> None:
        session = self._session(edge_id, number)
        if session is not None:
            changes = self.hub.close_session(session)
            self._forget(edge_id, number)
            self._announce(changes)

    @rule(edge_id=EDGES, number=NUMBERS, topic=TOPICS, watch=st.booleans())
    def join(self, edge_id: str, number: int, topic: str, watch: bool) -> None:
        session = self._session(edge_id, number)
        if session is None or self._attached(edge_id) is None:
            return
        head = self.stored.setdefault(topic, 0)
        channel = self.hub.channels.get(topic) or self.hub.activate(topic, Position(EPOCH, head))
        self.clock_ms += 1
        changes = self.hub.join(session, channel, watch=watch, first=channel.head, now_ms=self.clock_ms)
        assert channel.position == Position(EPOCH, head)
        if (edge_id, topic) not in self.live_after:
            self.live_after[edge_id, topic] = head
            self.sent[edge_id, topic] = []
        self.members.add((edge_id, number, topic))
        self.unnamed.discard((edge_id, number, topic))
        self._announce(changes)

    @rule(edge_id=EDGES, number=NUMBERS, topic=TOPICS)
    def leave(self, edge_id: str, number: int, topic: str) -> None:
        session = self._session(edge_id, number)
        if session is not None:
            changes = self.hub.leave(session, topic)
            self._drop((edge_id, number, topic))
            self._announce(changes)

    @rule(topic=TOPICS, size=st.integers(0, 600))
    def message(self, topic: str, size: int) -> None:
        offset = self.stored[topic] = self.stored.get(topic, 0) + 1
        self._deliver(topic, offset, size)

    @precondition(lambda self: any(self.stored.values()))
    @rule(topic=TOPICS)
    def message_again(self, topic: str) -> None:
        if self.stored.get(topic):
            assert self.hub.deliver(a_message(self.stored[topic], topic)) == []

    @rule()
    def sweep(self) -> None:
        for topic in self.hub.sweep():
            assert not [member for member in self.members if member[2] == topic]

    # What must be true.

    @invariant()
    def edges_were_sent_everything_from_where_they_joined_in_order(self) -> None:
        for (edge_id, topic), after in self.live_after.items():
            assert self.sent[edge_id, topic] == list(range(after + 1, self.stored[topic] + 1))

    @invariant()
    def clients_are_present_from_their_first_session_to_their_last(self) -> None:
        expected = {
            (topic, self.clients[edge_id, number]) for edge_id, number, topic in self.members if topic in CHANNELS
        }
        assert self.present == expected
        for topic, channel in self.hub.channels.items():
            listed = [member.client_id for member in channel.members()]
            assert sorted(listed) == sorted(
                {self.clients[edge_id, number] for edge_id, number, joined in self.members if joined == topic}
            )

    @invariant()
    def everything_is_known_from_both_sides(self) -> None:
        there = {
            (edge.edge_id, number, topic)
            for edge in self.hub.edges.values()
            for number, session in edge.sessions.items()
            for topic in session.topics
        }
        assert there == self.members
        shares = {
            (edge_id, number, topic)
            for topic, channel in self.hub.channels.items()
            for edge_id, share in channel.shares.items()
            for number in share.sessions
        }
        assert shares == self.members
        assert all(
            share.watchers <= share.sessions.keys() and share.sessions
            for channel in self.hub.channels.values()
            for share in channel.shares.values()
        )

    @invariant()
    def rings_end_at_the_head_without_a_gap_and_within_bounds(self) -> None:
        total = 0
        for topic, channel in self.hub.channels.items():
            kept = channel.ring.after(0)
            offsets = [message.offset for message in kept]
            assert offsets == list(range(channel.head - len(kept) + 1, channel.head + 1))
            assert all(message.topic == topic for message in kept)
            assert len(kept) <= self.budget.max_messages
            assert channel.covers(channel.head - len(kept))
            assert not kept or not channel.covers(channel.head - len(kept) - 1)
            total += sum(map(weight, kept))
        assert total == self.budget.total_bytes <= self.budget.max_total_bytes

    def teardown(self) -> None:
        for edge in list(self.hub.edges.values()):
            self._announce(self.hub.remove_edge(edge))
        self.hub.sweep()
        self.hub.sweep()
        assert not self.present
        assert (self.hub.edges, self.hub.channels, self.budget.total_bytes) == ({}, {}, 0)

    # Helpers.

    def _attached(self, edge_id: str) -> Edge | None:
        edge = self.hub.edges.get(edge_id)
        return edge if edge is not None and edge.outlet is not None else None

    def _session(self, edge_id: str, number: int) -> Session | None:
        edge = self.hub.edges.get(edge_id)
        return None if edge is None else edge.sessions.get(number)

    def _deliver(self, topic: str, offset: int, size: int) -> None:
        edges = self.hub.deliver(a_message(offset, topic, data=b"x" * size))
        assert {edge.edge_id for edge in edges} == {edge_id for edge_id, name in self.live_after if name == topic}
        for edge in edges:
            assert edge.outlet is not None
            self.sent[edge.edge_id, topic].append(offset)

    def _announce(self, changes: Iterable[PresenceChange]) -> None:
        for topic, member, came in changes:
            assert ((topic, member.client_id) in self.present) is not came
            (self.present.add if came else self.present.discard)((topic, member.client_id))

    def _not_live(self, edge_id: str) -> None:
        for key in [key for key in self.live_after if key[0] == edge_id]:
            del self.live_after[key]

    def _forget(self, edge_id: str, number: int) -> None:
        self.clients.pop((edge_id, number))
        self.unnamed_sessions.discard((edge_id, number))
        for member in [member for member in self.members if member[:2] == (edge_id, number)]:
            self._drop(member)

    def _drop(self, member: tuple[str, int, str]) -> None:
        self.members.discard(member)
        self.unnamed.discard(member)
        edge_id, _, topic = member
        if not any(other[0] == edge_id and other[2] == topic for other in self.members):
            self.live_after.pop((edge_id, topic), None)


LiveState.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestLiveState = LiveState.TestCase
