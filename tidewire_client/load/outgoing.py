"""What one client sends: numbered, each remembered until it is confirmed or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidewire_client.load.environment import now_us
from tidewire_client.load.ledger import Sent
from tidewire_client.load.messages import Writer, number_in_id
from tidewire_client.load.ranges import Ranges

if TYPE_CHECKING:
    from tidewire_client.load.environment import Environment
    from tidewire_client.load.plan import ClientPlan


class Outgoing:
    """The stream of one client.

    Args:
        env: Counts.
        plan: Of the client, with a stream and a channel.
    """

    __slots__ = ("_env", "_excluded", "_next", "_under_way", "_writer")

    def __init__(self, env: Environment, plan: ClientPlan) -> None:
        if plan.stream is None:
            raise ValueError("a client without a stream sends nothing")
        self._env = env
        self._writer = Writer(env.target.run, plan.stream, plan.channels[0], plan.size)
        self._next = 0
        self._under_way: dict[int, int] = {}
        self._excluded = Ranges()

    def next_frame(self, due_us: int) -> bytes:
        """Return the next message, which is to be sent now.

        Args:
            due_us: When it was due, in microseconds of the monotonic clock.
        """
        number = self._next
        self._next = number + 1
        self._under_way[number] = due_us
        self._env.counters.sent += 1
        self._env.lateness.record(now_us() - due_us)
        return self._writer.frame(number, due_us)

    def confirmed(self, message_id: str) -> None:
        """A frame is confirmed; those that are no messages of this stream do not matter."""
        number = number_in_id(message_id, self._env.target.run)
        if number is None:
            return
        due_us = self._under_way.pop(number, None)
        if due_us is None:
            self._env.counters.confirmed_twice += 1
            return
        self._env.counters.confirmed += 1
        self._env.confirmation.record(now_us() - due_us)

    def refused(self, frame_id: str, error_type: str) -> bool:
        """A frame is answered by an error; say if it was a message under way."""
        number = number_in_id(frame_id, self._env.target.run)
        if number is None or self._under_way.pop(number, None) is None:
            return False
        self._excluded.add(number)
        self._env.counters.refused += 1
        self._env.counters.because(f"refused: {error_type}")
        return True

    def cut_off(self) -> None:
        """The connection ended: nobody knows of what was under way if it was stored."""
        self._env.counters.cut_off += len(self._under_way)
        for number in self._under_way:
            self._excluded.add(number)
        self._under_way.clear()

    @property
    def unanswered(self) -> int:
        """Messages that are neither confirmed nor refused."""
        return len(self._under_way)

    def sent(self) -> Sent:
        """Return what members are to get; what is under way is among it."""
        return Sent(self._next, tuple(self._excluded))
