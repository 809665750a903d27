"""One call for all who ask the same question at the same time.

The invariant: an answer that is good for one use only is given to one asker. The others ask again, each on its own, because
each of their uses is to be charged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from service_runtime.tasks import end_tasks
from tidewire_client.errors import ServiceUnavailable
from tidewire_client.verdict import Verdict


@dataclass(slots=True)
class _Flight:
    task: asyncio.Task[Verdict]
    given: bool = False


class Flights:
    """Questions that are on their way.

    Args:
        capacity: Questions on their way at most; of those beyond none is asked.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._flights: dict[Hashable, _Flight] = {}
        self._alone = 0

    async def ask(self, question: Hashable, call: Callable[[], Awaitable[Verdict]]) -> Verdict:
        """Return the answer; the call goes on for the others when one asker gives up.

        Args:
            question: Those with the same one share a call.
            call: Asks the service.

        Raises:
            ServiceUnavailable: Too many questions are on their way.
            Exception: What `call` raised.
        """
        flight = self._flights.get(question)
        if flight is None:
            self._check_room()
            flight = self._flights[question] = _Flight(asyncio.ensure_future(self._fly(question, call)))
        verdict = await asyncio.shield(flight.task)
        if verdict.reusable or not flight.given:
            flight.given = True
            return verdict
        self._check_room()
        self._alone += 1
        try:
            return await call()
        finally:
            self._alone -= 1

    async def close(self) -> None:
        """End all that are on their way."""
        await end_tasks(*(flight.task for flight in self._flights.values()))

    def _check_room(self) -> None:
        if len(self._flights) + self._alone >= self._capacity:
            raise ServiceUnavailable("too many verifications are waiting")

    async def _fly(self, question: Hashable, call: Callable[[], Awaitable[Verdict]]) -> Verdict:
        try:
            return await call()
        finally:
            del self._flights[question]
