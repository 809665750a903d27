"""The newest messages of one active channel, without a gap up to its head.

The ring makes joins exact: between a read from the engine and the moment of the join it holds what came meanwhile.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from session_service.core.model import StoredMessage, weight


class RingBudget:
    """Bounds of every ring (messages, bytes), and of all rings of the process together (bytes)."""

    __slots__ = ("max_bytes", "max_messages", "max_total_bytes", "total_bytes")

    def __init__(self, max_messages: int, max_bytes: int, max_total_bytes: int) -> None:
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.max_total_bytes = max_total_bytes
        self.total_bytes = 0


class Ring:
    """A bounded run of messages that ends at the channel's head; each with the number of members it was sent to."""

    __slots__ = ("_budget", "_bytes", "_messages", "_reach")

    def __init__(self, budget: RingBudget) -> None:
        self._budget = budget
        self._messages: deque[StoredMessage] = deque()
        self._reach: deque[int] = deque()
        self._bytes = 0

    def append(self, message: StoredMessage, reach: int) -> None:
        """Add the next message, sent to `reach` members; the oldest go when a bound is passed."""
        size = weight(message)
        budget = self._budget
        self._messages.append(message)
        self._reach.append(reach)
        self._bytes += size
        budget.total_bytes += size
        while self._messages and (
            len(self._messages) > budget.max_messages
            or self._bytes > budget.max_bytes
            or budget.total_bytes > budget.max_total_bytes
        ):
            self._drop_oldest()

    def after(self, offset: int) -> list[StoredMessage]:
        """Return the messages with greater offsets; the ring must hold them (`reaches`)."""
        if not self._messages:
            return []
        return list(islice(self._messages, max(0, offset + 1 - self._messages[0].offset), None))

    def reaches(self, offset: int) -> bool:
        """It holds the message with this offset."""
        return bool(self._messages) and self._messages[0].offset <= offset <= self._messages[-1].offset

    def reach(self, offset: int) -> int:
        """Return how many members the message was sent to when it came; 0 when it is not in the ring."""
        if not self.reaches(offset):
            return 0
        return self._reach[offset - self._messages[0].offset]

    def clear(self) -> None:
        """Forget everything."""
        while self._messages:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        size = weight(self._messages.popleft())
        self._reach.popleft()
        self._bytes -= size
        self._budget.total_bytes -= size
