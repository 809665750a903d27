"""An engine as anybody would describe it: lists and dictionaries, without a store, a group, an index or a cache.

Of retention it knows what may be gone by now and what may not: when exactly it goes is each engine's own. Of epochs it knows
when one may change: which one comes is the engine's to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from session_service.core.model import NewMessage, Page, Stored, StoredMessage, Thread, weight
from session_service.core.retention import RetentionRule


@dataclass
class Ack:
    """What a client has acknowledged: all after `start` up to `offset`."""

    start: int
    offset: int


@dataclass
class Topic:
    """One channel. `messages[n]` has offset n + 1; `low` and `epoch` are as they were last seen."""

    name: str
    rule: RetentionRule
    messages: list[StoredMessage] = field(default_factory=list)
    threads: list[str] = field(default_factory=list)
    acks: dict[str, Ack] = field(default_factory=dict)
    low: int = 0
    may_be_gone: int = 0
    epoch: str = ""
    formers: dict[str, int] = field(default_factory=dict)
    epoch_may_change: bool = False

    @property
    def head(self) -> int:
        return len(self.messages)

    # Appends.

    def twin_of(self, message: NewMessage, now_ms: int, window_ms: int) -> StoredMessage | None:
        """Return the message that was stored under the same id by the same client within the window."""
        for stored in reversed(self.messages):
            if (stored.client_id, stored.id) == (message.client_id, message.id):
                return stored if stored.time_ms >= now_ms - window_ms else None
        return None

    def append(self, message: NewMessage, stored: Stored, now_ms: int, window_ms: int) -> None:
        """Take what an engine answered, if it is what must be answered."""
        self.see_epoch(stored.epoch)
        twin = self.twin_of(message, now_ms, window_ms)
        assert stored.duplicate == (twin is not None), (message, stored, twin)
        if twin is not None:
            assert (stored.offset, stored.time_ms) == (twin.offset, twin.time_ms)
            return
        assert (stored.offset, stored.time_ms) == (self.head + 1, now_ms)
        self.add(message, stored.time_ms)

    def add(self, message: NewMessage, time_ms: int) -> None:
        """Put a message behind the newest."""
        kept = (message.topic, message.type, message.id, message.client_id, self.epoch)
        self.messages.append(StoredMessage(*kept, self.head + 1, time_ms, message.data))
        self.threads.append(message.thread_id)

    # Epochs.

    def see_epoch(self, epoch: str) -> None:
        """Note the epoch that an engine says; fail if it changed without a reason."""
        assert epoch, "a channel that is used has no epoch"
        if epoch == self.epoch:
            return
        assert not self.epoch or self.epoch_may_change, f"{self.name}: {self.epoch} became {epoch}"
        assert epoch not in self.formers, "an epoch came back"
        if self.epoch:
            self.formers[self.epoch] = self.head
        self.epoch, self.epoch_may_change = epoch, False

    # Retention.

    def note_time(self, now_ms: int) -> None:
        """Look what the rule lets go by now; what it once let go may be gone for ever."""
        self.may_be_gone = max(self.may_be_gone, self._by_rule(now_ms))

    def _by_rule(self, now_ms: int) -> int:
        """Return up to which offset messages break the rule: the newest are kept that satisfy all three bounds."""
        low, size = self.head, 0
        for message in reversed(self.messages):
            size += weight(message)
            too_many = self.head - message.offset >= self.rule.max_messages
            too_old = message.time_ms < now_ms - int(self.rule.max_age_s * 1000)
            if too_many or too_old or size > self.rule.max_bytes:
                break
            low = message.offset - 1
        return low

    # Reads.

    def check_page(self, page: Page, after: int, limit: int, max_bytes: int) -> None:
        """Fail unless a page is what is kept after an offset."""
        self._check_place(page)
        self._check_messages(page, self._within(self.messages[max(after, page.low) :], limit, max_bytes))
        assert page.more == (bool(page.messages) and page.messages[-1].offset < self.head)

    def check_last(self, page: Page, count: int, max_bytes: int) -> None:
        """Fail unless a page is the newest that is kept."""
        self._check_place(page)
        newest = self._within(self.messages[page.low :][::-1], count, max_bytes)
        self._check_messages(page, newest[::-1])
        assert not page.more

    def _check_place(self, page: Page) -> None:
        self.see_epoch(page.epoch)
        assert page.head == self.head
        assert self.low <= page.low <= self.may_be_gone, f"{self.low} <= {page.low} <= {self.may_be_gone}"
        self.low = page.low
        for former, shared in page.formers.items():
            assert shared >= self.formers.get(former, 0), (
                "less is shared with an epoch of before than was confirmed in it"
            )

    def _check_messages(self, page: Page, expected: list[StoredMessage]) -> None:
        assert [each._replace(epoch="") for each in page.messages] == [each._replace(epoch="") for each in expected]
        assert {each.epoch for each in page.messages} <= {page.epoch}

    @staticmethod
    def _within(messages: list[StoredMessage], limit: int, max_bytes: int) -> list[StoredMessage]:
        """Return the first `limit` that weigh no more than that together, and at least one."""
        taken: list[StoredMessage] = []
        for message in messages[:limit]:
            max_bytes -= weight(message)
            if max_bytes < 0 and taken:
                break
            taken.append(message)
        return taken

    # Acknowledgements.

    def acknowledge(self, client_id: str, offset: int, *, baseline: bool) -> None:
        present = self.acks.get(client_id)
        if present is None:
            self.acks[client_id] = Ack(offset if baseline else 0, offset)
        elif not baseline:
            present.offset = max(present.offset, offset)

    def acknowledged(self, offset: int) -> int:
        """Return how many clients acknowledged a message."""
        return sum(ack.start < offset <= ack.offset for ack in self.acks.values())


@dataclass
class Threads:
    """The threads of one workspace, newest last."""

    most: int
    made: list[Thread] = field(default_factory=list)

    def find(self, thread_id: str) -> Thread | None:
        return next((thread for thread in self.made if thread.thread_id == thread_id), None)

    @property
    def full(self) -> bool:
        return len(self.made) >= self.most


def messages_of(topics: list[Topic], thread_id: str) -> tuple[list[StoredMessage], list[StoredMessage]]:
    """Return a thread's messages of all topics, and those of them that must still be there."""
    everything = [
        (message, topic)
        for topic in topics
        for message, thread in zip(topic.messages, topic.threads, strict=True)
        if thread == thread_id
    ]
    return (
        [message for message, _ in everything],
        [message for message, topic in everything if message.offset > topic.may_be_gone],
    )
