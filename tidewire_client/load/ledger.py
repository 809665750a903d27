"""What one client got of what it was to get: each message counted by its sender's number for it.

A stream is the messages of one sender, numbered from 0. A member of the channel is to get each number once, in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tidewire_client.load.ranges import Ranges


@dataclass(frozen=True, slots=True)
class Sent:
    """What the sender of a stream knows at the end.

    Attributes:
        count: How many numbers it has used.
        excluded: `(first, end)` of those that nobody must get: they were refused, or their confirmation was cut off.
    """

    count: int
    excluded: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """The sums of one client over all its streams.

    Attributes:
        expected: Messages that it was to get.
        received: Of these that came, each counted once.
        duplicated: Came again.
        missing: Did not come.
        out_of_order: Came after a later one of the same stream.
    """

    expected: int = 0
    received: int = 0
    duplicated: int = 0
    missing: int = 0
    out_of_order: int = 0

    @property
    def right(self) -> bool:
        """It got each message once, and in order."""
        return not (self.missing or self.duplicated or self.out_of_order)

    def plus(self, other: Account) -> Account:
        """Return the sums of both."""
        return Account(
            self.expected + other.expected,
            self.received + other.received,
            self.duplicated + other.duplicated,
            self.missing + other.missing,
            self.out_of_order + other.out_of_order,
        )


@dataclass(slots=True)
class StreamLedger:
    """What came of one stream.

    Attributes:
        next: The number after the highest that came.
        holes: Lower numbers that have not come.
        duplicated: Came again.
        out_of_order: Came after a higher one.
    """

    next: int = 0
    holes: Ranges = field(default_factory=Ranges)
    duplicated: int = 0
    out_of_order: int = 0

    def take(self, number: int) -> bool:
        """Take in a message; say if it is new."""
        if number == self.next:
            self.next = number + 1
            return True
        if number > self.next:
            self.holes.add(self.next, number)
            self.next = number + 1
            return True
        if self.holes.discard(number):
            self.out_of_order += 1
            return True
        self.duplicated += 1
        return False

    def missing(self, sent: Sent) -> int:
        """Return how many were to come and did not."""
        excluded = Ranges(sent.excluded)
        lost = sum(end - start - excluded.within(start, end) for start, end in self.holes if start < sent.count)
        if self.next < sent.count:
            lost += sent.count - self.next - excluded.within(self.next, sent.count)
        return lost


class ClientLedger:
    """What came to one client."""

    __slots__ = ("streams",)

    def __init__(self) -> None:
        self.streams: dict[int, StreamLedger] = {}

    def take(self, stream: int, number: int) -> bool:
        """Take in a message; say if it is new."""
        ledger = self.streams.get(stream)
        if ledger is None:
            ledger = self.streams[stream] = StreamLedger()
        return ledger.take(number)

    def complete(self, streams: Iterable[int], sent: Mapping[int, Sent]) -> bool:
        """Say if nothing is missing.

        Args:
            streams: Those that it is to get.
            sent: What was sent of each; a stream that is not there has sent nothing.
        """
        return all(not self._of(stream).missing(sent[stream]) for stream in streams if stream in sent)

    def account(self, streams: Iterable[int], sent: Mapping[int, Sent]) -> Account:
        """Return the sums; arguments as of `complete`."""
        total = Account()
        for stream in streams:
            ledger, known = self._of(stream), sent.get(stream, Sent(0))
            missing = ledger.missing(known)
            # What was excluded and came all the same was not expected; it is no fault either.
            expected = known.count - Ranges(known.excluded).within(0, known.count)
            one = Account(expected, expected - missing, ledger.duplicated, missing, ledger.out_of_order)
            total = total.plus(one)
        return total

    def _of(self, stream: int) -> StreamLedger:
        return self.streams.get(stream) or StreamLedger()
