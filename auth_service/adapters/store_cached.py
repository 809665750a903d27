"""A bounded cache of key records round any key store.

The invariant: after a change was seen (made here, or told by the change log), no older record is found. A read
that was on its way while a change came is not kept: the generation it began in is over.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Protocol

from auth_service.adapters import metrics
from auth_service.core.audit import SYSTEM, AuditEntry
from auth_service.core.keys import KeyRecord
from auth_service.core.ports import Change, KeyPage, KeyStore, RecordChange, RecordRotation


class MadeOfRecords(Protocol):
    """What is kept as long as the record is that it was made of."""

    def forget(self, key_id: str) -> None:
        """Drop what was made of one record."""

    def forget_all(self) -> None:
        """Drop everything."""


class CachedKeyStore:
    """A `KeyStore` that remembers records; unknown ids are not remembered.

    Args:
        store: where the keys are.
        size: records kept at most; the least recently used goes first.
    """

    def __init__(self, store: KeyStore, size: int) -> None:
        self._store = store
        self._size = size
        self._records: OrderedDict[str, KeyRecord] = OrderedDict()
        self._generation = 0
        self._made_of_records: MadeOfRecords | None = None

    def forget_with_records(self, made: MadeOfRecords) -> None:
        """From now on also drop what was made of a record, whenever the record is dropped."""
        self._made_of_records = made

    def forget(self, key_id: str) -> None:
        """Drop one record: its key has changed."""
        self._generation += 1
        self._records.pop(key_id, None)
        self._dropped(key_id)

    def forget_all(self) -> None:
        """Drop every record: changes may have been missed."""
        self._generation += 1
        self._records.clear()
        if self._made_of_records is not None:
            self._made_of_records.forget_all()

    def recall(self, key_id: str) -> KeyRecord | None:
        """Return one key if it is in memory; not counted as a hit."""
        record = self._records.get(key_id)
        if record is not None:
            self._records.move_to_end(key_id)
        return record

    async def get(self, key_id: str) -> KeyRecord | None:
        """Read one key, from memory if it is there."""
        record = self.recall(key_id)
        if record is not None:
            metrics.CACHE_HITS.inc()
            return record
        metrics.CACHE_MISSES.inc()
        generation = self._generation
        record = await self._store.get(key_id)
        if record is not None and generation == self._generation:
            self._records[key_id] = record
            if len(self._records) > self._size:
                self._dropped(self._records.popitem(last=False)[0])
        return record

    def _dropped(self, key_id: str) -> None:
        if self._made_of_records is not None:
            self._made_of_records.forget(key_id)

    async def create(self, record: KeyRecord, *, actor: str = SYSTEM) -> KeyRecord:
        """Store a new key."""
        return await self._store.create(record, actor=actor)

    async def create_first(self, record: KeyRecord) -> KeyRecord:
        """Store the first admin key."""
        return await self._store.create_first(record)

    async def update(self, key_id: str, change: RecordChange, *, actor: str = SYSTEM) -> KeyRecord:
        """Change a key, and forget what was remembered of it, also when it is not known if the change was made."""
        try:
            return await self._store.update(key_id, change, actor=actor)
        finally:
            self.forget(key_id)

    async def rotate(self, key_id: str, rotation: RecordRotation, *, actor: str) -> tuple[KeyRecord, KeyRecord]:
        """Rotate a key, and forget what was remembered of it."""
        try:
            return await self._store.rotate(key_id, rotation, actor=actor)
        finally:
            self.forget(key_id)

    async def delete(self, key_id: str, *, now_ms: int, actor: str = SYSTEM, reason: str = "") -> None:
        """Remove a key for good."""
        try:
            await self._store.delete(key_id, now_ms=now_ms, actor=actor, reason=reason)
        finally:
            self.forget(key_id)

    async def audit_entries(self, *, before: int, limit: int, key_id: str = "") -> Sequence[AuditEntry]:
        """Read the audit log."""
        return await self._store.audit_entries(before=before, limit=limit, key_id=key_id)

    async def list_keys(self, *, after: int, limit: int, owner: str) -> KeyPage:
        """Read a page of keys."""
        return await self._store.list_keys(after=after, limit=limit, owner=owner)

    async def development_key_ids(self) -> Sequence[str]:
        """Return the ids of the development keys."""
        return await self._store.development_key_ids()

    async def revision(self) -> int:
        """Return the revision of the last change."""
        return await self._store.revision()

    async def changes_since(self, revision: int, limit: int) -> Sequence[Change]:
        """Return changes after a revision."""
        return await self._store.changes_since(revision, limit)

    async def record_expiries(self, now_ms: int) -> int | None:
        """Log expiries that have passed."""
        return await self._store.record_expiries(now_ms)

    async def check_peppers(self, fingerprints: Mapping[int, str]) -> None:
        """Hold the peppers against those of the store."""
        await self._store.check_peppers(fingerprints)

    async def rehash(self, old: KeyRecord, secret_hash: bytes, pepper_version: int) -> bool:
        """Store the hash of a key's secret under another pepper, and forget what was remembered of the key."""
        try:
            return await self._store.rehash(old, secret_hash, pepper_version)
        finally:
            self.forget(old.key_id)

    async def canary(self, number: int) -> int | None:
        """Write a number, and return what is read back."""
        return await self._store.canary(number)
