"""What the loop's side of the SQLite engine hands to the writer's thread, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from session_service.adapters.ack_values import AckKey, AckValue
from session_service.core.errors import SessionError
from session_service.core.model import NewMessage, Position, Stored, StoredMessage, Thread
from session_service.core.ports import OnStored, OnSubscribed
from session_service.core.retention import RetentionPolicy


class Append:
    """Store a message. `answered`: its caller was told already that time is over."""

    __slots__ = ("answered", "message", "on_stored", "since_s")

    def __init__(self, message: NewMessage, on_stored: OnStored, since_s: float) -> None:
        self.message = message
        self.on_stored = on_stored
        self.since_s = since_s
        self.answered = False


class Subscribe:
    """Say where a topic stands. `wanted`: its messages are to be given from there on."""

    __slots__ = ("on_subscribed", "topic", "wanted")

    def __init__(self, topic: str, on_subscribed: OnSubscribed) -> None:
        self.topic = topic
        self.on_subscribed = on_subscribed
        self.wanted = True


class Resync(NamedTuple):
    """After a commit whose end nobody knows: say what a topic has after an offset."""

    topic: str
    after: int


class SaveAcks(NamedTuple):
    """Store acknowledgements."""

    acks: Mapping[AckKey, AckValue]


class CreateThread(NamedTuple):
    """Store a thread."""

    thread: Thread
    on_created: Callable[[tuple[Thread, bool] | SessionError], None]


Op: TypeAlias = Append | Subscribe | Resync | SaveAcks | CreateThread


class Appended(NamedTuple):
    """Answer to an append; `message` is None for a duplicate."""

    stored: Stored
    message: StoredMessage | None


class Outcome(NamedTuple):
    """What became of one op; which field counts depends on the op."""

    fault: SessionError | None = None
    appended: Appended | None = None
    position: Position | None = None
    messages: tuple[StoredMessage, ...] = ()
    thread: tuple[Thread, bool] | None = None


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """How the writer works.

    Args:
        idempotency_window_s: The same id is stored once within this many seconds.
        max_file_bytes: How large the file may grow; 0: as the disk allows.
        max_threads: Threads a workspace may have.
        retention: What is kept of each channel.
        trim_interval_s: Seconds between steps of trimming.
        trim_channels: Channels looked at in one step.
        trim_rows: Rows deleted of one channel in one step.
        max_cached_channels: Channels whose head is remembered.
    """

    retention: RetentionPolicy
    idempotency_window_s: float = 300.0
    max_file_bytes: int = 0
    max_threads: int = 100_000
    trim_interval_s: float = 0.25
    trim_channels: int = 20
    trim_rows: int = 500
    max_cached_channels: int = 50_000
    now_s: Callable[[], float] = field(kw_only=True)
    monotonic_s: Callable[[], float] = field(kw_only=True)
    new_epoch: Callable[[], str] = field(kw_only=True)
