"""Uses of keys in the key store's Redis: one hash a key, charged by one script on the server's clock.

Services that share the store share the counts. What waits goes together. A charge waits for replicas as a change of a key does.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from auth_service.adapters.charge_queue import ChargeQueue, Order
from auth_service.adapters.redis_access.calls import RedisCalls
from auth_service.core.charging import EXCEEDED, Cells, Charge, cells_of, limited
from auth_service.core.keys import KeyRecord
from auth_service.core.verification import VerdictCode

_NO_RATE: Final = Cells(0, 0)
# What `charge.lua` answers for each key.
_TOO_OFTEN: Final = 1
_USED_UP: Final = 2


class RedisUses:
    """A `UseCharger` in the Redis of a key store, which must be open.

    Args:
        calls: to that Redis.
        prefix: begins the name of every key of the store, and keeps them in one slot.
    """

    def __init__(self, calls: RedisCalls, prefix: str) -> None:
        self._calls = calls
        self._prefix = prefix
        self._queue = ChargeQueue(self._charge)

    async def close(self) -> None:
        """Return when all that was to be charged is."""
        await self._queue.close()

    async def charge(self, records: Sequence[KeyRecord], now_us: int) -> Sequence[Charge]:
        """Charge one verification to each key; `now_us` does not matter here."""
        return await self._queue.charge(records, now_us)

    async def look(self, record: KeyRecord, now_us: int) -> Charge:
        """Return what `charge` would."""
        (answer,) = await self._run([record], charges=False)
        return answer

    async def use_counts(self, key_ids: Sequence[str]) -> Mapping[str, int]:
        """Return how many uses were charged to keys."""
        names = [self._uses(key_id) for key_id in key_ids]
        counts = await self._calls.within_deadline(self._calls.script("use_counts", names, [])) if names else []
        return {key_id: int(count) for key_id, count in zip(key_ids, counts, strict=True) if int(count)}

    async def _charge(self, orders: Sequence[Order]) -> list[list[Charge]]:
        answers = iter(await self._run([record for order in orders for record in order.records], charges=True))
        return [[next(answers) for _ in order.records] for order in orders]

    async def _run(self, records: Sequence[KeyRecord], *, charges: bool) -> list[Charge]:
        arguments: list[str | bytes | int] = [int(charges)]
        for record in records:
            cells = cells_of(record.verification_rate) if record.verification_rate else _NO_RATE
            arguments += [cells.burst, cells.interval_us, record.max_uses]
        names = [self._uses(record.key_id) for record in records]
        _, *found = await self._calls.within_deadline(self._calls.change("charge", names, arguments))
        each = zip(records, found[::3], found[1::3], found[2::3], strict=True)
        return [_charge_of(record, *answer) for record, *answer in each]

    def _uses(self, key_id: str) -> str:
        return f"{self._prefix}uses:{key_id}"


def _charge_of(record: KeyRecord, outcome: int, wait_us: int, left: int) -> Charge:
    if outcome == _TOO_OFTEN:
        return limited(wait_us)
    if outcome == _USED_UP:
        return EXCEEDED
    return Charge(VerdictCode.VALID, remaining_uses=left if record.max_uses else None)
