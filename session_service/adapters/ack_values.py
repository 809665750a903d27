"""What an engine notes of clients' acknowledgements before it stores them."""

from __future__ import annotations

from typing import NamedTuple

from session_service.core.model import Position


class AckKey(NamedTuple):
    """Whose acknowledgement, in which topic."""

    topic: str
    client_id: str


class AckValue(NamedTuple):
    """What a client has acknowledged: everything after `start`, up to `offset`; nothing, if it is a baseline."""

    epoch: str
    start: int
    offset: int

    @classmethod
    def of(cls, position: Position, *, baseline: bool) -> AckValue:
        """Return the value of one command."""
        return cls(position.epoch, position.offset if baseline else 0, position.offset)

    @property
    def is_baseline(self) -> bool:
        """It says only where the client begins."""
        return self.start == self.offset

    def on_top_of(self, earlier: AckValue | None) -> AckValue:
        """Return what holds when this comes after another value; what stores it in an engine does the same."""
        if earlier is None or earlier.epoch != self.epoch:
            return self
        return earlier if self.is_baseline else earlier._replace(offset=max(earlier.offset, self.offset))

    def acknowledges(self, offset: int) -> bool:
        """It covers the message with this offset."""
        return self.start < offset <= self.offset
