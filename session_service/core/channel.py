"""One active channel: where it stands, its newest messages, and which edges have members in it.

The head only moves by `accept`, message by message; whoever joins at the head gets exactly what is accepted afterwards.
"""

from __future__ import annotations

from collections.abc import Callable

from session_service.core.model import Member, Position, StoredMessage
from session_service.core.ring import Ring, RingBudget
from session_service.core.sessions import Edge, Session


class EdgeShare:
    """One edge's part in a channel. `live`: what is accepted goes to the edge; not so while it replays or is away."""

    __slots__ = ("edge", "live", "sessions", "watchers")

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.live = False
        self.sessions: dict[int, Session] = {}
        self.watchers: set[int] = set()


class ChannelClient:
    """A client in a channel, however many sessions it has there; it was sent what comes after `first`."""

    __slots__ = ("first", "member", "sessions")

    def __init__(self, member: Member, first: int) -> None:
        self.member = member
        self.first = first
        self.sessions = 0


class Channel:
    """A channel that the engine delivers to this process.

    Args:
        topic: Its name.
        position: Where it stands.
        budget: Bounds of its ring.
        on_gap: Called when the engine left something out.
    """

    __slots__ = ("clients", "epoch", "head", "idle", "on_gap", "pins", "ring", "shares", "topic")

    def __init__(self, topic: str, position: Position, budget: RingBudget, on_gap: Callable[[], None]) -> None:
        self.topic = topic
        self.epoch, self.head = position
        self.ring = Ring(budget)
        self.shares: dict[str, EdgeShare] = {}
        self.clients: dict[str, ChannelClient] = {}
        self.pins = 0
        self.idle = False
        self.on_gap = on_gap

    @property
    def position(self) -> Position:
        """Where the channel stands now."""
        return Position(self.epoch, self.head)

    def accept(self, message: StoredMessage) -> list[Edge]:
        """Take the next message, and return the edges that it goes to; one that was seen before goes to none.

        After a gap or in a new epoch the ring begins anew, and the edges find the gap themselves: offsets tell.
        """
        if message.epoch == self.epoch:
            if message.offset <= self.head:
                return []
            if message.offset != self.head + 1:
                self.on_gap()
                self.ring.clear()
        else:
            self.on_gap()
            self.epoch = message.epoch
            self.ring.clear()
        self.head = message.offset
        self.ring.append(message, self.reach())
        return [share.edge for share in self.shares.values() if share.live]

    def renew(self, position: Position) -> list[Edge]:
        """Go on in another epoch; return the edges that stand where the channel stood."""
        self.epoch, self.head = position
        self.ring.clear()
        return [share.edge for share in self.shares.values() if share.live]

    def covers(self, after: int) -> bool:
        """The ring holds everything that comes after this offset."""
        return after >= self.head or self.ring.reaches(after + 1)

    def reach(self) -> int:
        """Return how many clients are members on edges that are attached."""
        if all(share.live for share in self.shares.values()):
            return len(self.clients)
        live = (share for share in self.shares.values() if share.live)
        return len({session.facts.client_id for share in live for session in share.sessions.values()})

    def written(self, offset: int) -> int:
        """Return how many members the message was sent to: when it came, or (if more) of those that are here now.

        What is known of the first number goes with the ring; a client that left before is then not counted.
        """
        if offset > self.head:
            return 0
        return max(self.ring.reach(offset), sum(client.first < offset for client in self.clients.values()))

    def pause(self, edge: Edge) -> None:
        """Send the edge nothing until one of its sessions joins, or `resume`: it is being given what it missed."""
        share = self.shares.get(edge.edge_id)
        if share is not None:
            share.live = False

    def resume(self, edge: Edge) -> None:
        """Send the edge what is accepted from now on, if it has members here."""
        share = self.shares.get(edge.edge_id)
        if share is not None:
            share.live = True

    def add(self, session: Session, *, watch: bool, first: int, now_ms: int) -> Member | None:
        """Make a session a member; return its client if this is the client's first session here. Idempotent.

        Args:
            session: The session.
            watch: It wants to be told who comes and goes.
            first: It is sent what comes after this offset.
            now_ms: Milliseconds since the Unix epoch.
        """
        self.idle = False
        share = self.shares.get(session.edge.edge_id)
        if share is None:
            share = self.shares[session.edge.edge_id] = EdgeShare(session.edge)
        share.live = True
        share.watchers.discard(session.number)
        if watch:
            share.watchers.add(session.number)
        facts = session.facts
        client = self.clients.get(facts.client_id)
        came = client is None
        if client is None:
            member = Member(facts.client_id, facts.connection_type, now_ms)
            client = self.clients[facts.client_id] = ChannelClient(member, first)
        client.first = min(client.first, first)
        if session.number not in share.sessions:
            share.sessions[session.number] = session
            session.topics[self.topic] = self
            client.sessions += 1
        session.stale_topics.discard(self.topic)
        return client.member if came else None

    def remove(self, session: Session) -> Member | None:
        """Take a member out; return its client if that was the client's last session here."""
        del session.topics[self.topic]
        session.stale_topics.discard(self.topic)
        share = self.shares[session.edge.edge_id]
        del share.sessions[session.number]
        share.watchers.discard(session.number)
        if not share.sessions:
            del self.shares[session.edge.edge_id]
        client = self.clients[session.facts.client_id]
        client.sessions -= 1
        if client.sessions:
            return None
        del self.clients[session.facts.client_id]
        return client.member

    def members(self) -> list[Member]:
        """Return the members by join time."""
        return sorted((client.member for client in self.clients.values()), key=_by_join_time)

    def watching(self) -> list[Edge]:
        """Return the edges with members that want to know who comes and goes."""
        return [share.edge for share in self.shares.values() if share.watchers]

    @property
    def in_use(self) -> bool:
        """Somebody is a member, or is about to be."""
        return bool(self.shares) or self.pins > 0


def _by_join_time(member: Member) -> tuple[int, str]:
    return member.join_time_ms, member.client_id
