"""Uses of keys in the key store's SQLite file, charged in its thread.

Calls that come while a transaction runs wait for the next one, and share it: one sync of the disk for all of them.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from auth_service.adapters.store_sqlite import SqliteKeyStore
from auth_service.core.charging import UNUSED, Charge, Uses, charge
from auth_service.core.errors import StoreUnavailableError
from auth_service.core.keys import KeyRecord

# Calls that wait for the next transaction at most; one more is refused at once.
MAX_WAITING_CALLS: Final = 1024
_READ: Final = "SELECT use_count, full_at_us FROM uses WHERE key_id = ?"
_WRITE: Final = "INSERT OR REPLACE INTO uses (key_id, use_count, full_at_us) VALUES (?, ?, ?)"


@dataclass(frozen=True, slots=True)
class _Order:
    records: Sequence[KeyRecord]
    now_us: int
    answer: "asyncio.Future[Sequence[Charge]]"


class SqliteUses:
    """A `UseCharger` in the file of a key store, which must be open.

    Args:
        store: that key store.
    """

    def __init__(self, store: SqliteKeyStore) -> None:
        self._store = store
        self._orders: deque[_Order] = deque()
        self._working: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Return when all that was to be charged is."""
        if self._working is not None:
            await self._working

    async def charge(self, records: Sequence[KeyRecord], now_us: int) -> Sequence[Charge]:
        """Charge one verification to each key."""
        if len(self._orders) >= MAX_WAITING_CALLS:
            raise StoreUnavailableError("the key store is overloaded; the call may be repeated")
        order = _Order(records, now_us, asyncio.get_running_loop().create_future())
        self._orders.append(order)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await order.answer

    async def look(self, record: KeyRecord, now_us: int) -> Charge:
        """Return what `charge` would."""
        return await self._store.transact(
            lambda connection: charge(record, _read(connection, record.key_id), now_us)[0]
        )

    async def use_counts(self, key_ids: Sequence[str]) -> Mapping[str, int]:
        """Return how many uses were charged to keys."""

        def read(connection: sqlite3.Connection) -> dict[str, int]:
            counts = {key_id: _read(connection, key_id).use_count for key_id in key_ids}
            return {key_id: count for key_id, count in counts.items() if count}

        return await self._store.transact(read)

    async def _work(self) -> None:
        while self._orders:
            orders = list(self._orders)
            self._orders.clear()
            try:
                answers = await self._store.transact(partial(_charge, orders))
            except Exception as error:
                for order in orders:
                    if not order.answer.done():
                        order.answer.set_exception(error)
            else:
                for order, answer in zip(orders, answers, strict=True):
                    if not order.answer.done():
                        order.answer.set_result(answer)


def _charge(orders: Sequence[_Order], connection: sqlite3.Connection) -> list[list[Charge]]:
    return [[_charge_one(connection, record, order.now_us) for record in order.records] for order in orders]


def _charge_one(connection: sqlite3.Connection, record: KeyRecord, now_us: int) -> Charge:
    before = _read(connection, record.key_id)
    answer, after = charge(record, before, now_us)
    if after != before:
        connection.execute(_WRITE, (record.key_id, *after))
    return answer


def _read(connection: sqlite3.Connection, key_id: str) -> Uses:
    row = connection.execute(_READ, (key_id,)).fetchone()
    return UNUSED if row is None else Uses(*row)
