"""The key store in Redis 7 or later, one, under Sentinels, or a Cluster, shared by many auth services.

The invariant: a key's record, its revision, its indexes and the entry in the change log are written by one script or
not at all. What a change is made of is read before; the script makes it only if the record is still what was read.
All keys lie in one hash slot.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from auth_service.adapters import audit_lines
from auth_service.adapters.redis_access.calls import RedisCalls, stamp
from auth_service.adapters.redis_access.master import Words
from auth_service.adapters.store_redis.audit import RedisAudit
from auth_service.adapters.store_redis.change_log import RedisChangeLog
from auth_service.adapters.store_redis.expiry_log import RedisExpiryLog
from auth_service.adapters.store_redis.records import from_value, to_body
from auth_service.adapters.store_redis.writes import Put, removal_arguments
from auth_service.core.audit import SYSTEM, AuditEntry, entry_of_change, entry_of_removal
from auth_service.core.errors import (
    AlreadyBootstrappedError,
    KeyExistsError,
    KeyNotFoundError,
    PepperError,
    StoreUnavailableError,
    too_many_keys,
)
from auth_service.core.keys import KeyRecord, same_hash
from auth_service.core.ports import MAX_KEYS, Change, KeyPage, RecordChange, RecordRotation
from service_runtime.redis_address import RedisAddress

# What `change_log.lua` writes.
SCHEMA_VERSION: Final = 3
# Canaries of services that have ended go after this time.
_CANARY_MS: Final = 60_000


class RedisKeyStore:
    """A `KeyStore` in Redis. Open it with `open`, close it with `close`.

    Args:
        address: where it is.
        namespace: begins the name of every key.
        timeout_s: how long a call may take, waiting included.
        change_log_size: entries of the change log that are kept.
        audit_log_size: entries of the audit log that are kept.
        wait_replicas: replicas that must have a change of a key before it is confirmed.
        max_keys: keys that it may hold.
    """

    def __init__(
        self,
        address: RedisAddress,
        *,
        namespace: str,
        timeout_s: float,
        change_log_size: int,
        audit_log_size: int,
        wait_replicas: int = 0,
        max_keys: int = MAX_KEYS,
    ) -> None:
        self._change_log_size = change_log_size
        self._max_keys = max_keys
        self._audit_log_size = audit_log_size
        self._prefix = f"{{{namespace}:auth}}:"
        self._meta, self._log = self._key("meta"), self._key("log")
        self._calls = RedisCalls(address, [self._meta, self._log], timeout_s=timeout_s, wait_replicas=wait_replicas)
        self._changes = RedisChangeLog(self._calls, meta=self._meta, log=self._log)
        self._audit = RedisAudit(self._calls, log=self._key("audit"), by_key=self._key("audit_by_key"))
        self._records, self._order = self._key("records"), self._key("order")
        self._expiries, self._development = self._key("expiries"), self._key("development")
        self._expiry_log = RedisExpiryLog(
            self._calls, [self._meta, self._log, self._records, self._expiries], log_size=change_log_size
        )
        self._pepper_uses, self._peppers = self._key("pepper_uses"), self._key("peppers")
        self._canary = self._key(f"canary:{stamp()}")
        # Changes made here wait for each other, so that only those of other processes can come between.
        self._changing = asyncio.Lock()

    @property
    def calls(self) -> RedisCalls:
        """Calls to its Redis, for what else lies there."""
        return self._calls

    @property
    def prefix(self) -> str:
        """What begins the name of every key, and keeps them in one slot."""
        return self._prefix

    async def open(self) -> None:
        """Connect to Redis.

        Raises:
            StoreUnavailableError: it cannot be used, or its keys were stored by a later version.
        """
        await self._calls.open()
        try:
            schema = await self._calls.within_deadline(self._calls.command("HGET", self._meta, "schema"))
            if schema is not None and int(schema) > SCHEMA_VERSION:
                raise StoreUnavailableError(
                    f"the key store {self._calls.where} has schema version {int(schema)}, this service knows"
                    f" {SCHEMA_VERSION} at most: it was made by a later version"
                )
            await self._audit.index_older(self._meta, self._log)
        except StoreUnavailableError:
            await self.close()
            raise

    async def close(self) -> None:
        """Close every connection."""
        await self._calls.close()

    async def get(self, key_id: str) -> KeyRecord | None:
        """Read one key."""
        value = await self._calls.within_deadline(self._value(key_id))
        return from_value(value) if value else None

    async def create(self, record: KeyRecord, *, actor: str = SYSTEM) -> KeyRecord:
        """Store a new key."""
        return await self._calls.within_deadline(self._create(Put(None, b"", record), actor, first=False))

    async def create_first(self, record: KeyRecord) -> KeyRecord:
        """Store the first admin key."""
        return await self._calls.within_deadline(self._create(Put(None, b"", record), SYSTEM, first=True))

    async def update(self, key_id: str, change: RecordChange, *, actor: str = SYSTEM) -> KeyRecord:
        """Change a key; `change` runs again when another process came between."""
        return await self._calls.within_deadline(self._update(key_id, change, actor))

    async def rotate(self, key_id: str, rotation: RecordRotation, *, actor: str) -> tuple[KeyRecord, KeyRecord]:
        """Change a key, and store the one that takes its place; `rotation` may run again, as `change` in `update`."""
        return await self._calls.within_deadline(self._rotate(key_id, rotation, actor))

    async def delete(self, key_id: str, *, now_ms: int, actor: str = SYSTEM, reason: str = "") -> None:
        """Remove a key for good."""
        await self._calls.within_deadline(self._delete(key_id, actor, reason, now_ms))

    async def audit_entries(self, *, before: int, limit: int, key_id: str = "") -> Sequence[AuditEntry]:
        """Read the audit log."""
        return await self._calls.within_deadline(self._audit.read(before, limit, key_id))

    async def list_keys(self, *, after: int, limit: int, owner: str) -> KeyPage:
        """Read a page of keys."""
        index = self._owner(owner) if owner else self._order
        found = await self._calls.within_deadline(
            self._calls.script("page", [index, self._records], [after, limit + 1])
        )
        rows = list(zip(found[::2], found[1::2], strict=True))
        return KeyPage([(int(at), from_value(value)) for at, value in rows[:limit]], more=len(rows) > limit)

    async def development_key_ids(self) -> Sequence[str]:
        """Return the ids of the development keys."""
        found = await self._calls.within_deadline(self._calls.command("SMEMBERS", self._development))
        return sorted(key_id.decode() for key_id in found)

    async def revision(self) -> int:
        """Return the revision of the last change."""
        return await self._calls.within_deadline(self._changes.revision())

    async def changes_since(self, revision: int, limit: int) -> Sequence[Change]:
        """Return changes after a revision."""
        return await self._calls.within_deadline(self._changes.since(revision, limit))

    async def record_expiries(self, now_ms: int) -> int | None:
        """Log expiries that have passed."""
        return await self._calls.within_deadline(self._expiry_log.record(now_ms))

    async def check_peppers(self, fingerprints: Mapping[int, str]) -> None:
        """Hold the peppers against those of the store."""
        given = [word for version, fingerprint in fingerprints.items() for word in (version, fingerprint)]
        outcome, version = await self._calls.within_deadline(
            self._calls.script("peppers", [self._pepper_uses, self._peppers], given)
        )
        if outcome == b"missing":
            raise PepperError(
                f"keys of the store were made with version {version.decode()} of the pepper, which is missing"
            )
        if outcome == b"other":
            raise PepperError(
                f"version {version.decode()} of the pepper is not the one that the store's keys were made with"
            )

    async def rehash(self, old: KeyRecord, secret_hash: bytes, pepper_version: int) -> bool:
        """Store the hash of a key's secret under another pepper."""
        return await self._calls.within_deadline(self._rehash(old, secret_hash, pepper_version))

    async def canary(self, number: int) -> int | None:
        """Write a number, and return what is read back."""
        return await self._calls.within_deadline(self._write_and_read(number))

    async def _rehash(self, old: KeyRecord, secret_hash: bytes, pepper_version: int) -> bool:
        value = await self._value(old.key_id)
        found = from_value(value) if value else None
        if value is None or found is None or not same_hash(found, old):
            return False
        after = replace(found, secret_hash=secret_hash, pepper_version=pepper_version)
        outcome, _ = await self._calls.change(
            "rehash",
            [self._meta, self._log, self._records, self._pepper_uses],
            [old.key_id, value, b"%d %s" % (found.revision, to_body(after)), found.pepper_version, pepper_version],
        )
        return bool(outcome == b"done")

    async def _write_and_read(self, number: int) -> int | None:
        await self._calls.command("SET", self._canary, number, "PX", _CANARY_MS)
        found = await self._calls.command("GET", self._canary)
        return None if found is None else int(found)

    async def _create(self, put: Put, actor: str, *, first: bool) -> KeyRecord:
        stored = await self._put(put, actor=actor, first=first)
        if stored is None:
            raise KeyExistsError(put.after.key_id)
        return stored[0]

    async def _update(self, key_id: str, change: RecordChange, actor: str) -> KeyRecord:
        async with self._changing:
            while True:
                value = await self._existing(key_id)
                before = from_value(value)
                after = change(before)
                if after == before:
                    if await self._confirmed(key_id, value):
                        return before
                    continue
                stored = await self._put(Put(before, value, after), actor=actor)
                if stored is not None:
                    return stored[0]

    async def _rotate(self, key_id: str, rotation: RecordRotation, actor: str) -> tuple[KeyRecord, KeyRecord]:
        async with self._changing:
            while True:
                value = await self._existing(key_id)
                before = from_value(value)
                old, new = rotation(before)
                stored = await self._put(Put(before, value, old), Put(None, b"", new), actor=actor)
                if stored is not None:
                    return stored[0], stored[1]
                if await self._value(new.key_id):
                    raise KeyExistsError(new.key_id)

    async def _put(self, *puts: Put, actor: str, first: bool = False) -> list[KeyRecord] | None:
        """Store records if each still is what was read; return them with their revisions, or None if one is not."""
        names = [self._meta, self._log, *self._audit.names, self._records, self._order]
        names += [self._expiries, self._development, self._pepper_uses]
        arguments: list[Words] = [self._change_log_size, self._audit_log_size, int(first), self._max_keys]
        for put in puts:
            names += [self._owner(owner) for owner in put.owners]
            arguments += put.arguments(actor)
        outcome, *revisions = await self._calls.change("put", names, arguments)
        if outcome == b"bootstrapped":
            raise AlreadyBootstrappedError("the first admin key was made before")
        if outcome == b"full":
            raise too_many_keys(self._max_keys)
        if outcome != b"done":
            return None
        stored = [replace(put.after, revision=int(revision)) for put, revision in zip(puts, revisions, strict=True)]
        for put, record in zip(puts, stored, strict=True):
            audit_lines.tell(entry_of_change(put.before, record, actor))
        return stored

    async def _delete(self, key_id: str, actor: str, reason: str, now_ms: int) -> None:
        async with self._changing:
            while True:
                value = await self._value(key_id)
                if not value:
                    if await self._confirmed(key_id, b""):
                        raise KeyNotFoundError(key_id)
                elif await self._remove(value, entry_of_removal(from_value(value), actor, reason, now_ms)):
                    return

    async def _remove(self, value: bytes, entry: AuditEntry) -> bool:
        """Remove a record if it is still what was read; return whether it was."""
        record = from_value(value)
        indexes = [self._order, self._expiries, self._development, self._pepper_uses, self._owner(record.owner)]
        outcome, *revision = await self._calls.change(
            "remove",
            [self._meta, self._log, *self._audit.names, self._records, *indexes, self._key(f"uses:{record.key_id}")],
            [self._change_log_size, self._audit_log_size, *removal_arguments(value, entry)],
        )
        if outcome != b"done":
            return False
        audit_lines.tell(replace(entry, revision=int(revision[0])))
        return True

    async def _confirmed(self, key_id: str, value: bytes) -> bool:
        """Return whether a record is still what was read, and replicas have it; no value: there is none.

        Another call may have made the change that is asked for, and may not have been confirmed.
        """
        if not self._calls.confirms_on_replicas:
            return True
        outcome, _ = await self._calls.change("confirm", [self._meta, self._log, self._records], [key_id, value])
        return bool(outcome == b"done")

    async def _existing(self, key_id: str) -> bytes:
        value = await self._value(key_id)
        if not value:
            raise KeyNotFoundError(key_id)
        return value

    async def _value(self, key_id: str) -> bytes | None:
        value: bytes | None = await self._calls.command("HGET", self._records, key_id)
        return value

    def _key(self, name: str) -> str:
        return self._prefix + name

    def _owner(self, owner: str) -> str:
        return self._key(f"owner:{owner}")
