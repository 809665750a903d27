"""Uses of keys in the key store's SQLite file, charged in its thread: one sync of the disk for all that wait."""

import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from auth_service.adapters.charge_queue import ChargeQueue, Order
from auth_service.adapters.store_sqlite.store import SqliteKeyStore
from auth_service.core.charging import UNUSED, Charge, Uses, charge
from auth_service.core.keys import KeyRecord

_READ: Final = "SELECT use_count, full_at_us FROM uses WHERE key_id = ?"
_WRITE: Final = "INSERT OR REPLACE INTO uses (key_id, use_count, full_at_us) VALUES (?, ?, ?)"


class SqliteUses:
    """A `UseCharger` in the file of a key store, which must be open.

    Args:
        store: that key store.
    """

    def __init__(self, store: SqliteKeyStore) -> None:
        self._store = store
        self._queue = ChargeQueue(lambda orders: store.transact(partial(_charge, orders)))

    async def close(self) -> None:
        """Return when all that was to be charged is."""
        await self._queue.close()

    async def charge(self, records: Sequence[KeyRecord], now_us: int) -> Sequence[Charge]:
        """Charge one verification to each key."""
        return await self._queue.charge(records, now_us)

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


def _charge(orders: Sequence[Order], connection: sqlite3.Connection) -> list[list[Charge]]:
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
