"""What unit tests use in place of the world: a clock that is set, and a key store in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from auth_service.core.audit import SYSTEM, AuditEntry, entry_of_change, entry_of_removal
from auth_service.core.charging import UNUSED, Charge, Uses, charge
from auth_service.core.errors import (
    AlreadyBootstrappedError,
    KeyExistsError,
    KeyNotFoundError,
    PepperError,
    RevisionGoneError,
    StoreUnavailableError,
    too_many_keys,
)
from auth_service.core.hashing import Peppers
from auth_service.core.keys import KeyLimits, KeyRecord, same_hash
from auth_service.core.permissions import PermissionSet
from auth_service.core.ports import MAX_KEYS, Change, KeyPage, RecordChange, RecordRotation
from auth_service.core.verification import VerdictCode, standing

NOW_MS = 1_800_000_000_000
PEPPERS = Peppers(1, {1: b"p" * 32})


class FakeClock:
    """A clock that stands until it is set."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.now_ms = now_ms
        self.monotonic_s = 0.0

    def now(self) -> float:
        return self.now_ms / 1000

    def monotonic(self) -> float:
        return self.monotonic_s


def a_record(key_id: str = "k1", **fields: Any) -> KeyRecord:
    """Make a record that is good for everything, but for the fields given."""
    base = KeyRecord(
        key_id=key_id,
        secret_hash=PEPPERS.hash("secret"),
        pepper_version=1,
        environment="live",
        prefix="tw_live_k1",
        owner="team",
        name="a key",
        permissions=PermissionSet.of(["*:*"]),
        allowed_domains=(),
        allowed_workspaces=(),
        limits=KeyLimits(),
        create_ms=NOW_MS,
        update_ms=NOW_MS,
    )
    return replace(base, **fields)


class MemoryKeyStore:
    """A `KeyStore` in memory: the obvious way to do what the port says."""

    def __init__(self, change_log_size: int = 100, audit_log_size: int = 100) -> None:
        self._audit_size = audit_log_size
        self._audit: list[AuditEntry] = []
        self.max_keys = MAX_KEYS
        self.fails = False
        self.reads = 0
        self._log_size = change_log_size
        self._keys: dict[str, tuple[int, KeyRecord]] = {}
        self._sequence = 0
        self._revision = 0
        self._log: list[Change] = []
        self._told: set[str] = set()
        self._bootstrapped = False
        self._peppers: dict[int, str] = {}
        self._canary: int | None = None
        self.forgets_canaries = False

    def _up(self) -> None:
        if self.fails:
            raise StoreUnavailableError("away")

    async def get(self, key_id: str) -> KeyRecord | None:
        self._up()
        self.reads += 1
        return self._keys[key_id][1] if key_id in self._keys else None

    async def create(self, record: KeyRecord, *, actor: str = SYSTEM) -> KeyRecord:
        self._up()
        if record.key_id in self._keys:
            raise KeyExistsError(record.key_id)
        self._require_room()
        self._sequence += 1
        stored = self._put(self._sequence, record, record.update_ms)
        self._tell(entry_of_change(None, stored, actor))
        return stored

    def _require_room(self) -> None:
        if len(self._keys) >= self.max_keys:
            raise too_many_keys(self.max_keys)

    async def create_first(self, record: KeyRecord) -> KeyRecord:
        if self._bootstrapped:
            raise AlreadyBootstrappedError("before")
        stored = await self.create(record)
        self._bootstrapped = True
        return stored

    async def update(self, key_id: str, change: RecordChange, *, actor: str = SYSTEM) -> KeyRecord:
        self._up()
        sequence, before = self._existing(key_id)
        after = change(before)
        return before if after == before else self._replace(sequence, before, after, actor)

    async def rotate(self, key_id: str, rotation: RecordRotation, *, actor: str) -> tuple[KeyRecord, KeyRecord]:
        self._up()
        sequence, before = self._existing(key_id)
        old, new = rotation(before)
        if new.key_id in self._keys:
            raise KeyExistsError(new.key_id)
        self._require_room()
        return self._replace(sequence, before, old, actor), await self.create(new, actor=actor)

    async def delete(self, key_id: str, *, now_ms: int, actor: str = SYSTEM, reason: str = "") -> None:
        self._up()
        _, before = self._existing(key_id)
        del self._keys[key_id]
        revision = self._append(key_id, VerdictCode.NOT_FOUND)
        self._tell(replace(entry_of_removal(before, actor, reason, now_ms), revision=revision))

    async def audit_entries(self, *, before: int, limit: int, key_id: str = "") -> Sequence[AuditEntry]:
        self._up()
        found = [entry for entry in reversed(self._audit) if not before or entry.revision < before]
        return [entry for entry in found if key_id in ("", entry.key_id)][:limit]

    async def list_keys(self, *, after: int, limit: int, owner: str) -> KeyPage:
        self._up()
        found = [
            (sequence, record)
            for sequence, record in sorted(self._keys.values(), key=lambda pair: pair[0])
            if sequence > after and owner in ("", record.owner)
        ]
        return KeyPage(found[:limit], more=len(found) > limit)

    async def development_key_ids(self) -> Sequence[str]:
        self._up()
        return sorted(key_id for key_id, (_, record) in self._keys.items() if record.development)

    async def revision(self) -> int:
        self._up()
        return self._revision

    async def changes_since(self, revision: int, limit: int) -> Sequence[Change]:
        self._up()
        if revision > self._revision or revision < self._revision - len(self._log):
            raise RevisionGoneError(revision, "not in the log")
        return [change for change in self._log if change.revision > revision][:limit]

    async def record_expiries(self, now_ms: int) -> int | None:
        self._up()
        for key_id, (sequence, record) in sorted(self._keys.items(), key=lambda pair: pair[1][1].expire_ms or 0):
            if record.expired(now_ms) and key_id not in self._told:
                self._put(sequence, record, now_ms)
                self._told.add(key_id)
        waiting = [
            record.expire_ms
            for key_id, (_, record) in self._keys.items()
            if record.expire_ms is not None and key_id not in self._told
        ]
        return min(waiting, default=None)

    async def check_peppers(self, fingerprints: Mapping[int, str]) -> None:
        self._up()
        for version in {record.pepper_version for _, record in self._keys.values()}:
            if self._peppers.get(version, fingerprints.get(version)) != fingerprints.get(version):
                raise PepperError("another pepper")
            if version not in fingerprints:
                raise PepperError("missing pepper")
        self._peppers.update(fingerprints)

    async def rehash(self, old: KeyRecord, secret_hash: bytes, pepper_version: int) -> bool:
        self._up()
        sequence, found = self._keys.get(old.key_id, (0, None))
        if found is None or not same_hash(found, old):
            return False
        self._keys[old.key_id] = (sequence, replace(found, secret_hash=secret_hash, pepper_version=pepper_version))
        return True

    async def canary(self, number: int) -> int | None:
        self._up()
        if not self.forgets_canaries:
            self._canary = number
        return self._canary

    def lose_log(self) -> None:
        """Forget the log, as if it had been cut."""
        self._log.clear()

    def _existing(self, key_id: str) -> tuple[int, KeyRecord]:
        if key_id not in self._keys:
            raise KeyNotFoundError(key_id)
        return self._keys[key_id]

    def _replace(self, sequence: int, before: KeyRecord, after: KeyRecord, actor: str) -> KeyRecord:
        if after.expire_ms != before.expire_ms:
            self._told.discard(before.key_id)
        stored = self._put(sequence, after, after.update_ms)
        self._tell(entry_of_change(before, stored, actor))
        return stored

    def _tell(self, entry: AuditEntry) -> None:
        self._audit.append(entry)
        del self._audit[: -self._audit_size]

    def _put(self, sequence: int, record: KeyRecord, now_ms: int) -> KeyRecord:
        code = standing(record, now_ms)
        stored = replace(record, revision=self._append(record.key_id, code))
        self._keys[record.key_id] = (sequence, stored)
        if code is VerdictCode.EXPIRED:
            self._told.add(record.key_id)
        return stored

    def _append(self, key_id: str, code: VerdictCode) -> int:
        self._revision += 1
        self._log.append(Change(self._revision, key_id, code))
        del self._log[: -self._log_size]
        return self._revision


class MemoryUses:
    """A `UseCharger` in memory: the obvious way to do what the port says."""

    def __init__(self) -> None:
        self.fails = False
        self.calls = 0
        self._uses: dict[str, Uses] = {}

    def _called(self) -> None:
        self.calls += 1
        if self.fails:
            raise StoreUnavailableError("away")

    async def charge(self, records: Sequence[KeyRecord], now_us: int) -> Sequence[Charge]:
        self._called()
        return [self._charge(record, now_us) for record in records]

    async def look(self, record: KeyRecord, now_us: int) -> Charge:
        self._called()
        return charge(record, self._uses.get(record.key_id, UNUSED), now_us)[0]

    async def use_counts(self, key_ids: Sequence[str]) -> Mapping[str, int]:
        self._called()
        counts = {key_id: self._uses.get(key_id, UNUSED).use_count for key_id in key_ids}
        return {key_id: count for key_id, count in counts.items() if count}

    def _charge(self, record: KeyRecord, now_us: int) -> Charge:
        answer, self._uses[record.key_id] = charge(record, self._uses.get(record.key_id, UNUSED), now_us)
        return answer
