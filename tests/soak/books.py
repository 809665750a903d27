"""What is confirmed and what is seen of each channel, compared as it comes, so that hours of it need no more memory.

A message is in the books until both are known. Members that come and go keep their own place (`tests/stress/herd.py`).
Pure, no I/O.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class ChannelBook:
    """One channel, as the publisher sees it, which stays on one connection.

    Attributes:
        head: The newest offset that was confirmed or seen.
        confirmed: Messages confirmed so far.
        faults: What must not be, by kind.
    """

    name: str
    head: int = 0
    confirmed: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    _seen_last: int | None = None
    _confirmed: dict[int, str] = field(default_factory=dict)
    _seen: dict[int, str] = field(default_factory=dict)

    def confirm(self, message_id: str, offset: int) -> None:
        """Note that a message was confirmed at a place."""
        self.confirmed += 1
        self.head = max(self.head, offset)
        seen = self._seen.pop(offset, None)
        if seen is None:
            self._confirmed[offset] = message_id
        elif seen != message_id:
            self.faults["confirmed where another message lies"] += 1

    def see(self, message_id: str, offset: int) -> None:
        """Note that a message came, which must be the next one."""
        if self._seen_last is not None and offset != self._seen_last + 1:
            self.faults["not the next message"] += 1
        self._seen_last = offset
        self.head = max(self.head, offset)
        confirmed = self._confirmed.pop(offset, None)
        if confirmed is None:
            self._seen[offset] = message_id
        elif confirmed != message_id:
            self.faults["seen where another message was confirmed"] += 1

    @property
    def lost(self) -> int:
        """Messages that were confirmed, and did not come."""
        return len(self._confirmed)
