"""Keys in Redis whose time is over, each told once in the log of changes."""

from collections.abc import Sequence
from typing import Final

from auth_service.adapters.redis_access.calls import RedisCalls, stamp
from auth_service.adapters.store_redis.records import from_value
from auth_service.core.verification import standing

# Expiries logged by one script at most, so that others do not wait long.
_AT_ONCE: Final = 500


class RedisExpiryLog:
    """Logs expiries that have passed.

    Args:
        calls: to the Redis where the keys are.
        names: the keys of what is known of the store, of the log, of the records and of the expiries to come.
        log_size: entries of the log that are kept.
    """

    def __init__(self, calls: RedisCalls, names: Sequence[str], *, log_size: int) -> None:
        self._calls = calls
        self._names = names
        self._log_size = log_size

    async def record(self, now_ms: int) -> int | None:
        """Log what has passed at this moment, Unix milliseconds; return the next expiry to come, if any.

        To be awaited inside `within_deadline`.
        """
        *_, records, expiries = self._names
        next_ms, *due = await self._calls.script("due", [expiries, records], [now_ms, _AT_ONCE])
        if not due:
            return int(next_ms) if next_ms else None
        arguments: list[str | bytes | int] = [self._log_size]
        for key_id, value in zip(due[::2], due[1::2], strict=True):
            code = standing(from_value(value) if value else None, now_ms)
            arguments += [key_id, value, code.value, stamp()]
        left = await self._calls.script("expire", self._names, arguments)
        return int(left[0]) if left else None
