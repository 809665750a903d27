"""What the storage scenarios need of a store: append in groups, and one by one at a rate."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.peers.base import Subject
from benchmarks.scenarios.base import MESSAGE_BYTES
from session_service.core.model import NewMessage

TOPIC: Final = "bench/main/storage"
DATA: Final = b'{"content":"' + b"x" * MESSAGE_BYTES + b'"}'
_CLIENTS: Final = 64


@dataclass(frozen=True)
class Appending:
    """What some appends took.

    Args:
        messages: How many.
        wall_s: By the clock, in seconds.
        cpu_s: Of all processes that took part, in seconds.
    """

    messages: int
    wall_s: float
    cpu_s: float


class Store(Subject):
    """Something that stores messages, safe against the loss of power when it says so."""

    @abstractmethod
    def append(self, group: int, seconds: float) -> Appending:
        """Append groups of messages, each when the one before is stored.

        Args:
            group: Messages that are stored together.
            seconds: About how long.

        Raises:
            BenchmarkError: not all were stored.
        """

    def append_at_rate(self, rate: float, seconds: float) -> Sequence[float]:
        """Append single messages by a schedule; return how long each took, in seconds; nothing, if it cannot be asked so.

        Args:
            rate: Messages a second.
            seconds: How long.
        """
        return ()


def new_messages() -> Iterator[NewMessage]:
    """Yield messages, each with an id that there was not before."""
    run, number = secrets.token_hex(4), 0
    while True:
        yield NewMessage(TOPIC, "chat_message", f"{run}-{number}", f"client-{number % _CLIENTS}", DATA)
        number += 1
