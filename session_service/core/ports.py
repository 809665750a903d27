"""What the core needs of the world: an engine that orders and stores, and the other session services.

One engine serves one process (SQLite) or many at once (a server such as Redis): nothing here says which. Callbacks run on
the event loop, and in order: when a subscription is answered with offset 7, the next message of that topic that the
listener is given has offset 8, and no callback of the same engine runs in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, TypeAlias

from session_service.core.errors import SessionError
from session_service.core.model import (
    Member,
    NewMessage,
    Page,
    Position,
    Stored,
    StoredMessage,
    Thread,
    ThreadMessages,
    ThreadPage,
)

MAX_LEASE_S: Final = 300
"""The clients of a session service that is silent count as present for no longer, whatever its lease is set to."""

OnStored: TypeAlias = Callable[[Stored | SessionError], None]
OnSubscribed: TypeAlias = Callable[[Position | SessionError], None]


class EngineListener(Protocol):
    """Who is given the messages of subscribed topics."""

    def on_message(self, message: StoredMessage) -> None:
        """Take a message: per topic in offset order, each once, from the subscription's position on."""

    def on_renewed(self, topic: str, position: Position, *, lossless: bool) -> None:
        """Note that a topic has another epoch: its next message comes after this position.

        Lossless: nothing that the listener was given is gone, and nothing is missing before the position.
        """


class Engine(Protocol):
    """Orders, stores and hands on messages. What is answered is stored: no crash of this process loses it.

    Faults are `EngineUnavailable` (not stored, and that is known), `EngineTimeout` (perhaps stored) and `LimitExceeded`.
    """

    async def start(self, listener: EngineListener) -> None:
        """Open the store; raises EngineUnavailable."""

    async def close(self) -> None:
        """Finish what was taken, then close the store."""

    def listen_anew(self) -> None:
        """Replace what brings messages here: a canary did not come back. What was missed is read from the store."""

    def append(self, message: NewMessage, on_stored: OnStored) -> None:
        """Store a message behind the newest of its topic, and give it to the listener if the topic is subscribed.

        Idempotent by (topic, client_id, id) within a window: the answer is then that of the first.
        """

    def subscribe(self, topic: str, on_subscribed: OnSubscribed) -> None:
        """Give the listener what comes in a topic; the answer says after which position. The topic's epoch is made if new."""

    def unsubscribe(self, topic: str) -> None:
        """Give the listener nothing more of a topic. Idempotent."""

    async def read(self, topic: str, after: int, limit: int, max_bytes: int) -> Page:
        """Read messages after an offset, oldest first: at most `limit`, at most `max_bytes` but at least one."""

    async def last(self, topic: str, count: int, max_bytes: int) -> Page:
        """Read the newest messages, oldest first, with the same bounds."""

    def acknowledge(self, topic: str, client_id: str, position: Position, *, baseline: bool = False) -> None:
        """Note, durably soon, that a client has seen everything up to a position; it never goes back within an epoch.

        A baseline is only kept where the client has no position yet, and acknowledges nothing that came before it.
        """

    async def acknowledged(self, topic: str, client_id: str) -> Position | None:
        """Return a client's last acknowledged position."""

    async def count_acknowledged(self, topic: str, offset: int) -> int:
        """Return how many clients acknowledged the message with this offset in the topic's present epoch."""

    async def create_thread(self, thread: Thread) -> tuple[Thread, bool]:
        """Store a thread; return it, or the one with its id that was there before, and whether it was."""

    async def thread(self, domain: str, workspace: str, thread_id: str) -> Thread | None:
        """Return a thread."""

    async def threads(self, domain: str, workspace: str, limit: int, token: int) -> ThreadPage:
        """Return threads, newest first; `token` 0: from the newest on."""

    async def thread_messages(
        self, domain: str, workspace: str, thread_id: str, limit: int, token: int
    ) -> ThreadMessages:
        """Return a thread's messages of all channels, in the order they were stored; `token` 0: from the oldest on."""


class DisconnectOrder(NamedTuple):
    """Close the connections of a client."""

    domain: str
    workspace: str
    client_id: str
    reason: str
    reconnect: bool


class ClusterListener(Protocol):
    """Who acts on what any session service said, this one included."""

    def on_presence(self, topic: str, member: Member, *, joined: bool) -> None:
        """Tell the members of a topic that somebody came or went."""

    def on_disconnect(self, order: DisconnectOrder) -> int:
        """Close a client's connections that live here; return how many."""


class Cluster(Protocol):
    """What session services share besides messages: who is present where, orders to disconnect, counts of receipts."""

    async def start(self, listener: ClusterListener) -> None:
        """Take part, and tell `listener` what is said from now on; raises EngineUnavailable."""

    async def close(self) -> None:
        """Take part no longer. Who was here moves elsewhere with their edges, without having left."""

    def entered(self, topic: str, member: Member, *, resumed: bool = False) -> None:
        """Say that a client has its first session of this process in a topic; never waits.

        Resumed: it came with its edge, and perhaps never went.
        """

    def left(self, topic: str, member: Member) -> None:
        """Say that a client has no session of this process in a topic any more; never waits."""

    def watched(self, topic: str) -> None:
        """Say that a member of this process wants to be told who comes and goes from now on. Idempotent."""

    async def members(self, topic: str) -> list[Member]:
        """Return the members of a topic by join time, on whatever service they are; raises SessionError."""

    async def written(self, topic: str, offset: int) -> int:
        """Return how many members a message was sent to, by whatever service answers; raises LimitExceeded."""

    async def disconnect(self, order: DisconnectOrder) -> int:
        """Close a client's connections wherever they are; return how many.

        Raises:
            EngineUnavailable: none was found, and not everybody could be asked.
            LimitExceeded: too many ask at once.
        """
