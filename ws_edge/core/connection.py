"""One client's connection: its state, what it may do, and the frames that go to it.

The state only moves forward (`TRANSITIONS`), and `Connection.move` is the one place that changes it. After CLOSED nothing
is sent, and answers that are still under way are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from ws_edge.core import server_frames
from ws_edge.core.client_frames import Envelope
from ws_edge.core.close_codes import CloseCode
from ws_edge.core.errors import FrameError
from ws_edge.core.limits import ConnectionLimits, RateGuard
from ws_edge.core.outbox import Outbox
from ws_edge.core.ports import Clock, KeyVerdict, SessionFacts, StoredMessage
from ws_edge.core.websocket_frame import text_frame


class State(Enum):
    """Where a connection is in its life (`protocol.md`, "Life of a connection")."""

    AWAITING_KEY = "waiting for `connect`"
    AUTHENTICATING = "the key is being verified"
    AUTHENTICATED = "every frame is allowed"
    CLOSED = "the last frame was sent, or the peer is gone"


TRANSITIONS: Final[Mapping[State, frozenset[State]]] = MappingProxyType(
    {
        State.AWAITING_KEY: frozenset({State.AUTHENTICATING, State.CLOSED}),
        State.AUTHENTICATING: frozenset({State.AWAITING_KEY, State.AUTHENTICATED, State.CLOSED}),
        State.AUTHENTICATED: frozenset({State.CLOSED}),
        State.CLOSED: frozenset(),
    }
)


class Membership(Enum):
    """How far a join or a leave of one channel has come."""

    JOINING = "joining"
    JOINED = "joined"
    LEAVING = "leaving"
    EXPELLED = "its key lost the channel while it was joining"


class Connection:
    """A client on this edge.

    Attributes:
        opened_s: When it came, in seconds of the clock that never goes back.

    Args:
        number: Unique on this edge process.
        client_id: From the URL.
        debug: It came by the debug endpoint, which echoes.
        limits: What it may do until its key says otherwise.
        client_address: The IP address that it came from; empty: not known.
    """

    __slots__ = (
        "channels",
        "client_address",
        "client_id",
        "clock",
        "debug",
        "expire_time_s",
        "facts",
        "guard",
        "key_revision",
        "limits",
        "newest_verdict",
        "number",
        "opened_s",
        "outbox",
        "state",
    )

    def __init__(
        self,
        number: int,
        client_id: str,
        *,
        debug: bool,
        limits: ConnectionLimits,
        clock: Clock,
        client_address: str = "",
    ) -> None:
        self.number = number
        self.client_id = client_id
        self.client_address = client_address
        self.debug = debug
        self.limits = limits
        self.clock = clock
        self.state = State.AWAITING_KEY
        self.opened_s = clock.monotonic_s()
        self.guard = RateGuard(limits, self.opened_s)
        self.channels: dict[str, Membership] = {}
        self.facts: SessionFacts | None = None
        self.expire_time_s: float | None = None
        # Of the auth service's store: it was let in after every change of its key up to this one, or was told of it.
        self.key_revision = 0
        # On its key, while it is being let in: changes that come meanwhile are not forgotten.
        self.newest_verdict: KeyVerdict | None = None
        self.outbox: Outbox

    def move(self, state: State) -> None:
        """Change the state, along `TRANSITIONS` only."""
        if state not in TRANSITIONS[self.state]:
            raise AssertionError(f"connection {self.number}: {self.state} cannot become {state}")
        self.state = state

    @property
    def closed(self) -> bool:
        """Nothing is sent any more."""
        return self.state is State.CLOSED

    @property
    def who(self) -> SessionFacts:
        """Who the client is; only for authenticated connections."""
        if self.facts is None:
            raise AssertionError(f"connection {self.number} is not authenticated")
        return self.facts

    def send(self, payload: bytes) -> None:
        """Queue one frame, given as JSON text."""
        self.outbox.put(text_frame(payload))

    def send_frame(
        self,
        frame_type: str,
        data: Mapping[str, object],
        *,
        frame_id: str | None = None,
        channel: str | None = None,
    ) -> None:
        """Queue an answer to this client."""
        now = self.clock.now_ms()
        self.send(
            server_frames.frame(frame_type, data, now, frame_id=frame_id, channel=channel, client_id=self.client_id)
        )

    def send_error(self, problem: FrameError, frame_id: str | None) -> None:
        """Queue an `error` frame."""
        now = self.clock.now_ms()
        self.send(server_frames.error(problem, now, frame_id=frame_id, client_id=self.client_id))

    def send_delivered(self, envelope: Envelope, *, channel: str | None = None) -> None:
        """Queue `message_delivered` for a frame that is not a stored message."""
        now = self.clock.now_ms()
        self.send(
            server_frames.delivered(envelope.type, now, frame_id=envelope.id, client_id=self.client_id, channel=channel)
        )

    def send_asked(self, payload: bytes) -> None:
        """Queue one frame, given as JSON text, that is as large as the client's question has it."""
        self.outbox.put_replay([text_frame(payload)])

    def send_replay(self, channel: str, missed: list[StoredMessage]) -> None:
        """Queue messages of the past, oldest first."""
        if missed:
            self.outbox.put_replay([text_frame(server_frames.message(m, channel)) for m in missed])

    def finish(self, code: CloseCode, reason: str, *, retry_after_ms: int, frame_id: str | None) -> None:
        """Send the `disconnect` frame behind all that waits, then the close frame."""
        self.move(State.CLOSED)
        now = self.clock.now_ms()
        last = server_frames.disconnect(
            reason, code, now, retry_after_ms=retry_after_ms, frame_id=frame_id, client_id=self.client_id
        )
        self.outbox.close(text_frame(last), int(code), reason)

    def lose(self) -> None:
        """The peer is gone: forget what waits."""
        self.move(State.CLOSED)
        self.outbox.abandon()
