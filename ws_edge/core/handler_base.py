"""What the handlers of frames share: the full name of a topic, membership, permission, and the way of an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ws_edge.core import client_frames as cf
from ws_edge.core import server_frames
from ws_edge.core.client_frames import Envelope
from ws_edge.core.connection import Connection, Membership
from ws_edge.core.errors import FrameError
from ws_edge.core.names import topic_of
from ws_edge.core.ports import Answer, Clock, Keys, OnAnswer, ServiceAway, SessionLink
from ws_edge.core.refusals import away_error, channel_error, failure_error, require_allowed
from ws_edge.core.registry import KeyChanges
from ws_edge.core.topics import TopicTable

Pending = Awaitable[None] | None


class Refuse(Protocol):
    """Answers a frame with an error."""

    def __call__(self, connection: Connection, problem: FrameError, frame_id: str | None) -> None:
        """Send the error, and close if the table says so."""


@dataclass(frozen=True, slots=True)
class HandlerParts:
    """What handlers work with.

    Attributes:
        keys: Decides about permissions.
        link: Where commands go.
        clock: The time.
        new_id: Makes ids for messages that came without one.
        topics: Who is a member of what.
        changes: Which keys changed lately.
        refuse: Answers a frame with an error.
    """

    keys: Keys
    link: SessionLink
    clock: Clock
    new_id: Callable[[], str]
    topics: TopicTable
    changes: KeyChanges
    refuse: Refuse


class HandlerBase:
    """Handlers of frames on one subject."""

    def __init__(self, parts: HandlerParts) -> None:
        self._keys = parts.keys
        self._link = parts.link
        self._clock = parts.clock
        self._new_id = parts.new_id
        self._topics = parts.topics
        self._changes = parts.changes
        self._refuse = parts.refuse

    def _topic(self, connection: Connection, channel: str) -> str:
        who = connection.who
        return topic_of(who.domain, who.workspace, channel)

    def _require_membership(self, connection: Connection, channel: str) -> None:
        if connection.channels.get(channel) not in (Membership.JOINING, Membership.JOINED):
            raise channel_error(404, f"Not a member of {channel[:128]}", channel)

    def _authorized(self, connection: Connection, action: str, resource: str, go: Callable[[], None]) -> Pending:
        """Run `go` if the key allows the action; at once when the decision is known."""
        who = connection.who
        verdict = self._keys.check_cached(who.key_id, action, resource, who.domain, who.workspace)
        if verdict is None:
            return self._ask(connection, action, resource, go)
        require_allowed(verdict, action, resource)
        go()
        return None

    async def _ask(self, connection: Connection, action: str, resource: str, go: Callable[[], None]) -> None:
        who = connection.who
        try:
            while True:
                before = self._changes.count
                verdict = await self._keys.check(who.key_id, action, resource, who.domain, who.workspace)
                if not self._changes.changed_since(who.key_id, before):
                    break
        except ServiceAway as exc:
            raise away_error(exc, safe_to_repeat=True) from None
        if connection.closed:
            return
        require_allowed(verdict, action, resource)
        go()

    def _answering(
        self,
        connection: Connection,
        envelope: Envelope,
        channel: str,
        expected: type[Any],
        reply: Callable[[Any], None],
    ) -> OnAnswer:
        """Return a callback that replies to an answer of the expected kind, and refuses the frame on any other."""

        def answered(answer: Answer) -> None:
            if connection.closed:
                return
            if isinstance(answer, expected):
                reply(answer)
            else:
                self._refuse(connection, failure_error(answer, repeat_is_safe=True, channel=channel), envelope.id)

        return answered

    def _echo(self, connection: Connection, envelope: Envelope) -> None:
        """Send a frame back (debug endpoint only), and confirm it."""
        now = self._clock.now_ms()
        connection.send(
            server_frames.echo(
                envelope.type,
                envelope.data or cf.EMPTY_OBJECT,
                now,
                frame_id=envelope.id,
                channel=envelope.channel,
                client_id=connection.client_id,
            )
        )
        connection.send_delivered(envelope)
