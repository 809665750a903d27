"""All active channels, edges and sessions of this process.

A client is present in a channel from its first session there to its last. An edge whose stream ends keeps its sessions until
it is removed; if it comes back before, everything is stale until it is named again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from session_service.core.channel import Channel
from session_service.core.model import Member, Position, StoredMessage
from session_service.core.ring import RingBudget
from session_service.core.sessions import Edge, Outlet, Session, SessionFacts
from session_service.core.topic import inbox_topic, parse_topic


class PresenceChange(NamedTuple):
    """A client came to a channel (its first session there), or went (its last)."""

    topic: str
    member: Member
    joined: bool


class Hub:
    """The live state of the session service: rebuilt by the edges after a crash, so that nothing of it need be stored.

    Args:
        budget: Bounds of the channels' rings.
        on_gap: Called when the engine left something out.
    """

    def __init__(self, budget: RingBudget, on_gap: Callable[[], None] = lambda: None) -> None:
        self._budget = budget
        self._on_gap = on_gap
        self.channels: dict[str, Channel] = {}
        self.edges: dict[str, Edge] = {}

    # Edges.

    def attach(self, edge_id: str, outlet: Outlet) -> Edge:
        """Take an edge in; if it was here before, all that lives on it is stale until it is named again."""
        edge = self.edges.get(edge_id)
        if edge is None:
            edge = self.edges[edge_id] = Edge(edge_id)
        self.detach(edge)
        edge.outlet = outlet
        for session in edge.sessions.values():
            session.stale = True
            session.stale_topics = set(session.topics)
        return edge

    def detach(self, edge: Edge) -> None:
        """Note that an edge's stream ended: its members stay, and what comes for them is not sent."""
        edge.outlet = None
        for session in edge.sessions.values():
            for channel in session.topics.values():
                channel.shares[edge.edge_id].live = False

    def remove_edge(self, edge: Edge) -> list[PresenceChange]:
        """Forget an edge and all that lived on it; return who went."""
        self.edges.pop(edge.edge_id, None)
        return self._close_all(list(edge.sessions.values()))

    def finish_replay(self, edge: Edge) -> list[PresenceChange]:
        """Remove what the edge did not name again; return who went."""
        changes = self._close_all([session for session in edge.sessions.values() if session.stale])
        for session in edge.sessions.values():
            for topic in list(session.stale_topics):
                changes += self.leave(session, topic)
        return changes

    # Sessions.

    def open_session(self, edge: Edge, number: int, facts: SessionFacts) -> tuple[Session, list[PresenceChange]]:
        """Return the session with this number, new unless it is the same one named again; and who went if it was another."""
        session = edge.sessions.get(number)
        changes: list[PresenceChange] = []
        if session is not None and session.facts != facts:
            changes = self.close_session(session)
            session = None
        if session is None:
            session = edge.sessions[number] = Session(edge, number, facts)
        session.stale = False
        return session, changes

    def close_session(self, session: Session) -> list[PresenceChange]:
        """Forget a session; return the channels that its client went from. Idempotent."""
        session.open = False
        if session.edge.sessions.get(session.number) is session:
            del session.edge.sessions[session.number]
        return [change for topic in list(session.topics) for change in self.leave(session, topic)]

    def sessions_of(self, domain: str, workspace: str, client_id: str) -> list[Session]:
        """Return the sessions of a client."""
        inbox = self.channels.get(inbox_topic(domain, workspace, client_id))
        if inbox is None:
            return []
        return [session for share in inbox.shares.values() for session in share.sessions.values()]

    def confirm(self, edge: Edge, topic: str, numbers: Iterable[int]) -> list[Session]:
        """Note that the edge named members of a topic again; return those of them that are open."""
        named = [session for number in numbers if (session := edge.sessions.get(number)) is not None]
        for session in named:
            session.stale_topics.discard(topic)
        return named

    # Channels.

    def activate(self, topic: str, position: Position) -> Channel:
        """Take a channel in that the engine delivers from `position` on."""
        channel = self.channels[topic] = Channel(topic, position, self._budget, self._on_gap)
        return channel

    def deliver(self, message: StoredMessage) -> list[Edge]:
        """Take a message from the engine; return the edges that it goes to."""
        channel = self.channels.get(message.topic)
        return [] if channel is None else channel.accept(message)

    def renew(self, topic: str, position: Position) -> list[Edge]:
        """Have a channel go on in another epoch; return the edges that are to be told."""
        channel = self.channels.get(topic)
        return [] if channel is None else channel.renew(position)

    def join(self, session: Session, channel: Channel, *, watch: bool, first: int, now_ms: int) -> list[PresenceChange]:
        """Make a session a member, live from the channel's head on; return the change for the client's first one."""
        came = channel.add(session, watch=watch, first=first, now_ms=now_ms)
        return _change(channel.topic, came, joined=True)

    def leave(self, session: Session, topic: str) -> list[PresenceChange]:
        """Take a session out of a channel; return the change for the client's last one. Idempotent."""
        channel = session.topics.get(topic)
        if channel is None:
            return []
        return _change(topic, channel.remove(session), joined=False)

    def sweep(self) -> list[str]:
        """Drop channels that were idle at the last sweep and still are; return their topics."""
        gone = []
        for topic, channel in self.channels.items():
            if channel.in_use:
                channel.idle = False
            elif channel.idle:
                gone.append(topic)
            else:
                channel.idle = True
        for topic in gone:
            self.channels.pop(topic).ring.clear()
        return gone

    def _close_all(self, sessions: Iterable[Session]) -> list[PresenceChange]:
        return [change for session in sessions for change in self.close_session(session)]


def _change(topic: str, member: Member | None, *, joined: bool) -> list[PresenceChange]:
    """Presence is of channels that are joined: broadcasts and inboxes have none."""
    if member is None:
        return []
    name = parse_topic(topic)
    return [] if name.is_broadcast or name.is_inbox else [PresenceChange(topic, member, joined)]
