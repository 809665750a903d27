"""The log of changes in the key store's Redis: a stream that `change_log.lua` writes."""

from collections.abc import Mapping, Sequence

from auth_service.adapters.redis_access.calls import RedisCalls
from auth_service.adapters.store_redis.streams import fields_of, revision_of
from auth_service.core.errors import RevisionGoneError
from auth_service.core.ports import Change
from auth_service.core.verification import VerdictCode


class RedisChangeLog:
    """Tells changes in their order, and notices when the log is not the one that was told from. Await inside `within_deadline`.

    Args:
        calls: to the Redis where it is.
        meta: the key that has the last revision.
        log: the key of the stream.
    """

    def __init__(self, calls: RedisCalls, *, meta: str, log: str) -> None:
        self._calls = calls
        self._meta = meta
        self._log = log
        # The last revision that was told from here, and its stamp in the log.
        self._told = (0, b"")

    async def revision(self) -> int:
        """Return the revision of the last change."""
        last, stamp = await self._calls.command("HMGET", self._meta, "revision", "stamp")
        self._told = (int(last or 0), stamp or b"")
        return self._told[0]

    async def since(self, revision: int, limit: int) -> Sequence[Change]:
        """Return changes after a revision, at most so many.

        Raises:
            RevisionGoneError: it is not in this log, or not any more.
        """
        last, last_stamp, oldest, entries = await self._calls.script(
            "changes", [self._meta, self._log], [revision, limit + 1]
        )
        current = int(last)
        if revision > current:
            raise RevisionGoneError(revision, f"never given out; the last one is {current}")
        if revision < (revision_of(oldest) - 1 if oldest else current):
            raise RevisionGoneError(revision, f"the log of changes begins at {oldest.decode() or 'no entry'}")
        found = [(revision_of(entry_id), fields_of(pairs)) for entry_id, pairs in entries]
        stamps = {number: fields[b"stamp"] for number, fields in found} | {current: last_stamp}
        self._assert_same_log(revision, stamps)
        wanted = [(number, fields) for number, fields in found if number > revision][:limit]
        if wanted and wanted[-1][0] >= self._told[0]:
            self._told = (wanted[-1][0], wanted[-1][1][b"stamp"])
        return [
            Change(number, fields[b"key_id"].decode(), VerdictCode(fields[b"code"].decode()))
            for number, fields in wanted
        ]

    def _assert_same_log(self, revision: int, stamps: Mapping[int, bytes]) -> None:
        """Refuse a log that is not the one that was told from: Redis came back with less, and went on from there."""
        told, stamp = self._told
        if revision == told and stamps.get(told, stamp) != stamp:
            self._told = (0, b"")
            raise RevisionGoneError(revision, "the log of changes was replaced")
