"""The audit log in the key store's Redis: a stream, and its index by key (`change_log.lua` writes both)."""

from collections.abc import Sequence
from typing import Any, Final

from auth_service.adapters.record_json import entry_from_text
from auth_service.adapters.redis_access.calls import RedisCalls
from auth_service.adapters.store_redis.streams import fields_of, revision_of
from auth_service.core.audit import AuditEntry

# Older entries that one script indexes at most, so that others do not wait long.
_INDEXED_AT_ONCE: Final = 1000
# Behind every revision.
_NO_END: Final = ":"


class RedisAudit:
    """Reads the audit log, by itself or by its index.

    Args:
        calls: to the Redis where it is.
        log: the key of the stream.
        by_key: the key of the index.
    """

    def __init__(self, calls: RedisCalls, *, log: str, by_key: str) -> None:
        self._calls = calls
        self._log = log
        self._by_key = by_key

    @property
    def names(self) -> tuple[str, str]:
        """The keys of the stream and of its index, for scripts that write an entry."""
        return self._log, self._by_key

    async def index_older(self, meta: str, change_log: str) -> None:
        """Index what was written before there was an index; idempotent, and nothing to do after the first time.

        Args:
            meta: the key of what is known of the store.
            change_log: the key of the log of changes.

        Raises:
            StoreUnavailableError: Redis did not answer; what was indexed stays so.
        """
        names = [meta, change_log, self._log, self._by_key]
        while await self._calls.within_deadline(self._calls.script("index_audit", names, [_INDEXED_AT_ONCE])):
            pass

    async def read(self, before: int, limit: int, key_id: str) -> Sequence[AuditEntry]:
        """Read entries of revisions below `before` (0: all), newest first, of one key or (empty) of all.

        To be awaited inside `within_deadline`.
        """
        found = await (self._of_key(before, limit, key_id) if key_id else self._of_all(before, limit))
        return [entry_from_text(fields_of(pairs)[b"entry"], revision_of(entry_id)) for entry_id, pairs in found]

    async def _of_all(self, before: int, limit: int) -> Any:
        start = f"({before}-0" if before else "+"
        return await self._calls.command("XREVRANGE", self._log, start, "-", "COUNT", limit)

    async def _of_key(self, before: int, limit: int, key_id: str) -> Any:
        end = f"{before:016d}" if before else _NO_END
        return await self._calls.script(
            "audit_page", [self._log, self._by_key], [f"({key_id}:{end}", f"[{key_id}:", limit]
        )
