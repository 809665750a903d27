"""What the core needs of the world, and the values that cross.

Answers of the session service come by callback, not by future: a `Joined` and the delivery behind it arrive in one batch,
and the join must be in force before the delivery is looked at. A callback runs before the next event of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol, TypeAlias


class Position(NamedTuple):
    """After the message with this offset, in this life (epoch) of the channel."""

    epoch: str
    offset: int


class StoredMessage(NamedTuple):
    """A message as the session service stored it; `data` is JSON text in UTF-8."""

    type: str
    id: str
    client_id: str
    epoch: str
    offset: int
    time_ms: int
    data: bytes


class Member(NamedTuple):
    """A member of a channel."""

    client_id: str
    connection_type: str
    join_time_ms: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A session is open at the session service."""

    broadcasts: Position
    inbox: Position
    inbox_missed: Sequence[StoredMessage] = ()
    inbox_failure: str | None = None
    broadcasts_missed: Sequence[StoredMessage] = ()
    broadcasts_failure: str | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """A client is a member from `position` on; `missed` is what it asked for of the past."""

    position: Position
    recovered: bool
    failure: str | None
    missed: Sequence[StoredMessage]


@dataclass(frozen=True, slots=True)
class Left:
    """A client is no longer a member."""


@dataclass(frozen=True, slots=True)
class Published:
    """A message is stored."""

    id: str
    position: Position


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Part of a history, oldest first."""

    messages: Sequence[StoredMessage]
    newest: Position
    more: bool
    failure: str | None


@dataclass(frozen=True, slots=True)
class PresenceList:
    """The members of a channel."""

    members: Sequence[Member]


@dataclass(frozen=True, slots=True)
class ReceiptState:
    """How far a message has come."""

    position: Position
    written: int
    acknowledged: int


class FailureKind(Enum):
    """Why a command was not done."""

    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    LIMIT = "limit"
    CHANNEL_LIMIT = "channel limit"
    INVALID = "invalid"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Failed:
    """A command was not done, or nobody knows."""

    kind: FailureKind
    message: str
    safe_to_repeat: bool


Answer: TypeAlias = Opened | Joined | Left | Published | HistoryPage | PresenceList | ReceiptState | Failed
OnAnswer: TypeAlias = Callable[[Answer], None]


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """Who a connection is, for the session service."""

    number: int
    session_id: str
    client_id: str
    domain: str
    workspace: str
    connection_type: str
    key_id: str


class SessionLink(Protocol):
    """The stream to a session service. Every call returns at once; answers come through `on_answer`, each once."""

    async def open(
        self, who: SessionFacts, on_answer: OnAnswer, *, broadcasts: Position | None, inbox: Position | None
    ) -> None:
        """Announce an authenticated connection. Answer: `Opened`; returns when `on_answer` has run.

        Args:
            who: The connection.
            on_answer: Given the answer.
            broadcasts: The client resumes the broadcasts after this position; None: from now on.
            inbox: The client resumes its inbox after this position; None: from what it has not acknowledged.
        """

    def close(self, number: int) -> None:
        """Announce the end of a connection."""

    def join(
        self,
        number: int,
        topic: str,
        on_answer: OnAnswer,
        *,
        since: Position | None = None,
        last_acked: bool = False,
        last: int = 0,
        presence: bool = False,
    ) -> None:
        """Join a channel, with its past when asked. Answer: `Joined`."""

    def leave(self, number: int, topic: str, on_answer: OnAnswer) -> None:
        """Leave a channel. Answer: `Left`."""

    def publish(
        self,
        number: int,
        topic: str,
        message_type: str,
        message_id: str,
        data: bytes,
        thread_id: str,
        on_answer: OnAnswer,
    ) -> None:
        """Store and deliver a message. Answer: `Published`. Repeated over a new stream: the id makes that safe."""

    def acknowledge(self, number: int, topic: str, position: Position) -> None:
        """Note that a client has seen everything up to a position."""

    def read_history(
        self, number: int, topic: str, on_answer: OnAnswer, *, since: tuple[str, int] | None, limit: int
    ) -> None:
        """Read part of a history. Answer: `HistoryPage`."""

    def read_presence(self, number: int, topic: str, on_answer: OnAnswer) -> None:
        """Read the members. Answer: `PresenceList`."""

    def read_receipt(self, number: int, topic: str, offset: int, on_answer: OnAnswer) -> None:
        """Read how far a message has come. Answer: `ReceiptState`."""

    def resubscribe(self, topic: str, position: Position, numbers: Sequence[int], presence: Sequence[int]) -> None:
        """Ask for what a topic has after a position, when a gap was found."""


class ByteSink(Protocol):
    """Where the bytes of one connection go."""

    @property
    def unsent(self) -> int:
        """Bytes that were written and not taken by the peer's side yet."""

    def write(self, data: bytes, bound: int) -> int:
        """Write without waiting, unless that would leave more unsent than allowed.

        What is larger than the bound is written all the same when nothing is unsent before it.

        Args:
            data: Whole frames.
            bound: How many bytes may be unsent.

        Returns:
            How many bytes are unsent now; negative: nothing was written, it would be too many.
        """

    def close(self, last: bytes, code: int, reason: str) -> None:
        """Write the last frames and the close frame at once, after all that was written, and end the connection."""


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Limits that a key brings; 0: the edge's own default."""

    frames_per_second: int = 0
    frames_burst: int = 0
    bytes_per_second: int = 0
    max_channels: int = 0
    max_connections: int = 0
    key_frames_per_second: int = 0
    key_bytes_per_second: int = 0


@dataclass(frozen=True, slots=True)
class KeyVerdict:
    """What the auth service says of a key; `code` is a name of `tidewire.auth.v1.VerdictCode`, without its prefix."""

    code: str
    key_id: str = ""
    limits: KeyLimits = KeyLimits()
    expire_time_s: float | None = None
    missing: str = ""
    retry_after_ms: int = 0
    revision: int = 0

    @property
    def allowed(self) -> bool:
        """The key is good for what was asked."""
        return self.code == "VALID"


class ServiceAway(Exception):
    """A service gave no answer: `timed_out` says that it may come yet, else it cannot be reached."""

    def __init__(self, service: str, *, timed_out: bool) -> None:
        self.service = service
        self.timed_out = timed_out
        super().__init__(f"the {service} service {'did not answer in time' if timed_out else 'is away'}")


class Keys(Protocol):
    """Verification of keys and permissions, cached under a watch."""

    async def verify(self, api_key: str, domain: str, workspace: str, client_address: str) -> KeyVerdict:
        """Verify a key for a workspace, and charge the use; an empty address is not known. Raises `ServiceAway`."""

    async def check(self, key_id: str, action: str, channel: str, domain: str, workspace: str) -> KeyVerdict:
        """Decide about one action. Raises `ServiceAway`."""

    def check_cached(self, key_id: str, action: str, channel: str, domain: str, workspace: str) -> KeyVerdict | None:
        """Return the decision if it is known without asking."""


class Clock(Protocol):
    """The time."""

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch."""

    def monotonic_s(self) -> float:
        """Return seconds of a clock that never goes back."""
