"""Edges and the sessions (authenticated connections) that live on them, as the session service knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from session_service.core.channel import Channel


class Outlet(Protocol):
    """Where the events for one edge go, in order."""

    def push(self, event: bytes) -> None:
        """Queue one encoded event; never waits."""


class SessionFacts(NamedTuple):
    """Who a session is."""

    session_id: str
    client_id: str
    domain: str
    workspace: str
    connection_type: str
    key_id: str


class Edge:
    """One edge process. `outlet` is None while its stream is down and its members wait for it (grace)."""

    __slots__ = ("edge_id", "outlet", "sessions")

    def __init__(self, edge_id: str) -> None:
        self.edge_id = edge_id
        self.outlet: Outlet | None = None
        self.sessions: dict[int, Session] = {}


class Session:
    """One authenticated connection, by its edge's number for it.

    `stale`: the edge came back and has not named it again yet; `stale_topics`: the same for single memberships.
    """

    __slots__ = ("edge", "facts", "number", "open", "stale", "stale_topics", "topics")

    def __init__(self, edge: Edge, number: int, facts: SessionFacts) -> None:
        self.edge = edge
        self.number = number
        self.facts = facts
        self.open = True
        self.stale = False
        self.topics: dict[str, Channel] = {}
        self.stale_topics: set[str] = set()
