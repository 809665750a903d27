"""Charges that come while others are on their way to the store go there together: one script, or one transaction.

There is one trip at a time, so a charge waits for the one before it, and then takes its own time: at most twice what a call of
the store may take.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from auth_service.core.charging import Charge
from auth_service.core.errors import StoreUnavailableError
from auth_service.core.keys import KeyRecord

# Calls that wait for the next trip at most; one more is refused at once.
MAX_WAITING_CALLS: Final = 1024
# Keys that go together, so that nobody else has to wait long for the store.
MAX_KEYS_AT_ONCE: Final = 512


@dataclass(frozen=True, slots=True)
class Order:
    """What one call wants to be charged, in one piece.

    Args:
        records: keys with bounds.
        now_us: the moment of the call, Unix microseconds.
        answer: what came of it, for each key.
    """

    records: Sequence[KeyRecord]
    now_us: int
    answer: "asyncio.Future[Sequence[Charge]]"


class ChargeQueue:
    """Takes charges to a store, in the order they came in.

    Args:
        carry_out: charges some orders, and returns an answer for each.
    """

    def __init__(self, carry_out: Callable[[Sequence[Order]], Awaitable[Sequence[Sequence[Charge]]]]) -> None:
        self._carry_out = carry_out
        self._orders: deque[Order] = deque()
        self._working: asyncio.Task[None] | None = None

    async def charge(self, records: Sequence[KeyRecord], now_us: int) -> Sequence[Charge]:
        """Charge one verification to each key.

        Raises:
            StoreUnavailableError: the store did not answer, or too many calls wait.
        """
        if len(self._orders) >= MAX_WAITING_CALLS:
            raise StoreUnavailableError("the key store is overloaded; the call may be repeated")
        order = Order(records, now_us, asyncio.get_running_loop().create_future())
        self._orders.append(order)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await order.answer

    async def close(self) -> None:
        """Return when all that was to be charged is, or has failed."""
        if self._working is not None:
            await self._working

    async def _work(self) -> None:
        while self._orders:
            orders = self._next_orders()
            try:
                answers = await self._carry_out(orders)
            except Exception as error:
                for order in orders:
                    if not order.answer.done():
                        order.answer.set_exception(error)
            else:
                for order, answer in zip(orders, answers, strict=True):
                    if not order.answer.done():
                        order.answer.set_result(answer)

    def _next_orders(self) -> list[Order]:
        orders = [self._orders.popleft()]
        keys = len(orders[0].records)
        while self._orders and keys + len(self._orders[0].records) <= MAX_KEYS_AT_ONCE:
            orders.append(self._orders.popleft())
            keys += len(orders[-1].records)
        return orders
