"""What unit tests of the session service use: messages, sessions and edges by the dozen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from session_service.core.channel import Channel
from session_service.core.model import Position, StoredMessage
from session_service.core.ring import RingBudget
from session_service.core.sessions import Edge, Session, SessionFacts

EPOCH = "e1"
TOPIC = "tests/w1/chat"
NOW_MS = 1_800_000_000_000


class RecordingOutlet:
    """Keeps what is pushed."""

    def __init__(self) -> None:
        self.events: list[bytes] = []

    def push(self, event: bytes) -> None:
        self.events.append(event)


def a_message(offset: int, topic: str = TOPIC, **fields: Any) -> StoredMessage:
    """Return a message as an engine gives it."""
    base = StoredMessage(topic, "chat_message", f"m-{offset}", "alice", EPOCH, offset, NOW_MS, b'{"content":"hi"}')
    return base._replace(**fields)


def facts(client_id: str = "alice", **fields: Any) -> SessionFacts:
    """Return who a session is."""
    return SessionFacts(f"s-{client_id}", client_id, "tests", "w1", "chat", "k1")._replace(**fields)


def a_session(edge: Edge, number: int = 1, client_id: str = "alice") -> Session:
    """Return an open session."""
    session = edge.sessions[number] = Session(edge, number, facts(client_id))
    return session


def a_budget(max_messages: int = 100, max_bytes: int = 1 << 20, max_total_bytes: int = 1 << 24) -> RingBudget:
    """Return bounds that no test reaches by accident."""
    return RingBudget(max_messages, max_bytes, max_total_bytes)


def a_channel(offset: int = 0, budget: RingBudget | None = None, on_gap: Callable[[], None] = lambda: None) -> Channel:
    """Return an active channel that stands at an offset."""
    return Channel(TOPIC, Position(EPOCH, offset), budget or a_budget(), on_gap)
