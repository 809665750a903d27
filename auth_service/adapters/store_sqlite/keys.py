"""What the key store does in SQLite: plain calls on one connection, each write one transaction.

The invariant: a key's row, its revision and the entry in the change log are written together or not at all.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from typing import Any, Final, TypeVar

from auth_service.adapters.store_sqlite.audit import SqliteAudit
from auth_service.core.audit import AuditEntry, entry_of_change, entry_of_removal
from auth_service.core.errors import (
    AlreadyBootstrappedError,
    KeyExistsError,
    KeyNotFoundError,
    PepperError,
    RevisionGoneError,
    too_many_keys,
)
from auth_service.core.keys import KeyLimits, KeyRecord, KeyState, VerificationRate
from auth_service.core.permissions import PermissionSet
from auth_service.core.ports import Change, KeyPage, RecordChange, RecordRotation
from auth_service.core.verification import VerdictCode, standing

T = TypeVar("T")

_COLUMNS: Final = tuple(field.name for field in fields(KeyRecord))
# Expiries logged in one transaction at most, so that a store of many is not locked for long.
_EXPIRIES_AT_ONCE: Final = 500


def to_row(record: KeyRecord) -> dict[str, Any]:
    """Return the columns of a record."""
    row = {name: getattr(record, name) for name in _COLUMNS}
    row["permissions"] = json.dumps(record.permissions.texts)
    row["allowed_domains"] = json.dumps(record.allowed_domains)
    row["allowed_workspaces"] = json.dumps(record.allowed_workspaces)
    row["limits"] = json.dumps(asdict(record.limits))
    row["state"] = record.state.value
    row["development"] = int(record.development)
    rate = record.verification_rate
    row["verification_rate"] = None if rate is None else json.dumps(asdict(rate))
    return row


def from_row(row: Sequence[Any]) -> KeyRecord:
    """Return the record of a row of `_COLUMNS`."""
    values = dict(zip(_COLUMNS, row, strict=True))
    values["permissions"] = PermissionSet.of(json.loads(values["permissions"]))
    values["allowed_domains"] = tuple(json.loads(values["allowed_domains"]))
    values["allowed_workspaces"] = tuple(json.loads(values["allowed_workspaces"]))
    values["limits"] = KeyLimits(**json.loads(values["limits"]))
    values["state"] = KeyState(values["state"])
    values["development"] = bool(values["development"])
    rate = values["verification_rate"]
    values["verification_rate"] = None if rate is None else VerificationRate(**json.loads(rate))
    return KeyRecord(**values)


_LIST: Final = ", ".join(_COLUMNS)
_SELECT: Final = f"SELECT {_LIST} FROM keys WHERE key_id = ?"  # noqa: S608 - names of our own fields
_VALUES: Final = ", ".join(f":{name}" for name in _COLUMNS)
_INSERT: Final = f"INSERT INTO keys ({_LIST}, expiry_logged) VALUES ({_VALUES}, :expiry_logged)"  # noqa: S608
_ASSIGN: Final = ", ".join(f"{name} = :{name}" for name in _COLUMNS if name != "key_id")
_UPDATE: Final = f"UPDATE keys SET {_ASSIGN}, expiry_logged = :expiry_logged WHERE key_id = :key_id"  # noqa: S608
_REHASH: Final = (
    "UPDATE keys SET secret_hash = ?, pepper_version = ? WHERE key_id = ? AND secret_hash = ? AND pepper_version = ?"
)
_PAGE: Final = f"SELECT sequence, {_LIST} FROM keys WHERE sequence > ?"  # noqa: S608


class SqliteKeys:
    """The store's operations on one connection in autocommit mode; to be used by one thread at a time.

    Args:
        connection: with the schema in place.
        change_log_size: entries of the change log that are kept.
        audit_log_size: entries of the audit log that are kept.
        max_keys: keys that there may be.
    """

    def __init__(
        self, connection: sqlite3.Connection, change_log_size: int, audit_log_size: int, max_keys: int
    ) -> None:
        self._db = connection
        self._max_keys = max_keys
        self._change_log_size = change_log_size
        self._audit = SqliteAudit(connection, audit_log_size)

    def get(self, key_id: str) -> KeyRecord | None:
        """Read one key."""
        row = self._db.execute(_SELECT, (key_id,)).fetchone()
        return None if row is None else from_row(row)

    def create(self, record: KeyRecord, actor: str, *, first: bool = False) -> KeyRecord:
        """Store a new key; with `first`, only if none was ever stored so."""
        with self._transaction():
            if first:
                if self._counter("bootstrapped"):
                    raise AlreadyBootstrappedError("the first admin key was made before")
                self._set_counter("bootstrapped", 1)
            self._require_room(record.key_id)
            return self._insert(record, actor)

    def update(self, key_id: str, change: RecordChange, actor: str) -> KeyRecord:
        """Change a key; a change that returns its argument writes nothing."""
        with self._transaction():
            before = self._existing(key_id)
            after = change(before)
            return before if after == before else self._replace(before, after, actor)

    def rotate(self, key_id: str, rotation: RecordRotation, actor: str) -> tuple[KeyRecord, KeyRecord]:
        """Change a key, and store the one that takes its place."""
        with self._transaction():
            before = self._existing(key_id)
            old, new = rotation(before)
            self._require_room(new.key_id)
            return self._replace(before, old, actor), self._insert(new, actor)

    def delete(self, key_id: str, actor: str, reason: str, now_ms: int) -> None:
        """Remove a key for good."""
        with self._transaction():
            before = self._existing(key_id)
            self._db.execute("DELETE FROM keys WHERE key_id = ?", (key_id,))
            self._db.execute("DELETE FROM uses WHERE key_id = ?", (key_id,))
            revision = self._log(key_id, VerdictCode.NOT_FOUND)
            self._audit.add(replace(entry_of_removal(before, actor, reason, now_ms), revision=revision))

    def audit_entries(self, before: int, limit: int, key_id: str) -> list[AuditEntry]:
        """Read the audit log, newest first, of one key or (empty) of all."""
        return self._audit.read(before, limit, key_id)

    def list_keys(self, after: int, limit: int, owner: str) -> KeyPage:
        """Read a page of keys, oldest first."""
        if owner:
            sql, given = f"{_PAGE} AND owner = ? ORDER BY sequence LIMIT ?", (after, owner, limit + 1)
        else:
            sql, given = f"{_PAGE} ORDER BY sequence LIMIT ?", (after, limit + 1)  # type: ignore[assignment]
        rows = self._db.execute(sql, given).fetchall()
        return KeyPage([(row[0], from_row(row[1:])) for row in rows[:limit]], more=len(rows) > limit)

    def development_key_ids(self) -> list[str]:
        """Return the ids of the development keys."""
        rows = self._db.execute("SELECT key_id FROM keys WHERE development = 1 ORDER BY key_id")
        return [key_id for (key_id,) in rows]

    def revision(self) -> int:
        """Return the revision of the last change."""
        return self._counter("revision")

    def changes_since(self, revision: int, limit: int) -> list[Change]:
        """Return changes after a revision, in order."""
        self._db.execute("BEGIN")
        try:
            current = self._counter("revision")
            (oldest,) = self._db.execute("SELECT min(revision) FROM changes").fetchone()
            rows = self._db.execute(
                "SELECT revision, key_id, code FROM changes WHERE revision > ? ORDER BY revision LIMIT ?",
                (revision, limit),
            ).fetchall()
        finally:
            self._db.execute("COMMIT")
        if revision > current:
            raise RevisionGoneError(revision, f"never given out; the last one is {current}")
        if revision < (oldest - 1 if oldest is not None else current):
            raise RevisionGoneError(revision, f"the log of changes begins at {oldest}")
        return [Change(number, key_id, VerdictCode(code)) for number, key_id, code in rows]

    def record_expiries(self, now_ms: int) -> int | None:
        """Log expiries that have passed; return when the next one comes (which may lie in the past if many do)."""
        next_ms = self._next_expiry()
        if next_ms is None or next_ms > now_ms:
            return next_ms
        with self._transaction():
            rows = self._db.execute(
                "SELECT key_id FROM keys WHERE expire_ms <= ? AND expire_ms IS NOT NULL AND expiry_logged = 0"
                " ORDER BY expire_ms LIMIT ?",
                (now_ms, _EXPIRIES_AT_ONCE),
            ).fetchall()
            for (key_id,) in rows:
                revision = self._log(key_id, standing(self.get(key_id), now_ms))
                self._db.execute("UPDATE keys SET revision = ?, expiry_logged = 1 WHERE key_id = ?", (revision, key_id))
        return self._next_expiry()

    def check_peppers(self, fingerprints: Mapping[int, str]) -> None:
        """Hold the peppers against those of the store, and remember new ones."""
        with self._transaction():
            known = dict(self._db.execute("SELECT version, fingerprint FROM peppers").fetchall())
            used = {v for (v,) in self._db.execute("SELECT DISTINCT pepper_version FROM keys").fetchall()}
            for version in sorted(used - fingerprints.keys()):
                raise PepperError(f"keys of the store were made with version {version} of the pepper, which is missing")
            for version, fingerprint in fingerprints.items():
                if version in used and known.get(version, fingerprint) != fingerprint:
                    raise PepperError(
                        f"version {version} of the pepper is not the one that the store's keys were made with"
                    )
                self._db.execute("INSERT OR REPLACE INTO peppers VALUES (?, ?)", (version, fingerprint))

    def rehash(self, old: KeyRecord, secret_hash: bytes, pepper_version: int) -> bool:
        """Store the hash of a key's secret under another pepper, if hash and pepper still are those of `old`."""
        with self._transaction():
            given = (secret_hash, pepper_version, old.key_id, old.secret_hash, old.pepper_version)
            return self._db.execute(_REHASH, given).rowcount == 1

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something in one transaction."""
        with self._transaction():
            return work(self._db)

    def write_canary(self, number: int) -> None:
        """Note a number."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO counters (name, value) VALUES ('canary', ?)", (number,))

    def read_canary(self) -> int | None:
        """Return the number that was noted last."""
        row = self._db.execute("SELECT value FROM counters WHERE name = 'canary'").fetchone()
        return None if row is None else int(row[0])

    def _require_room(self, key_id: str) -> None:
        """Raise LimitExceededError if a new key would be one too many.

        To count them takes long where there are many, and need not be done before as many were ever made.
        """
        (made,) = self._db.execute("SELECT coalesce(max(sequence), 0) FROM keys").fetchone()
        if made < self._max_keys or self.get(key_id) is not None:
            return
        (count,) = self._db.execute("SELECT count(*) FROM keys").fetchone()
        if count >= self._max_keys:
            raise too_many_keys(self._max_keys)

    def _existing(self, key_id: str) -> KeyRecord:
        record = self.get(key_id)
        if record is None:
            raise KeyNotFoundError(key_id)
        return record

    def _insert(self, record: KeyRecord, actor: str) -> KeyRecord:
        if self.get(record.key_id) is not None:
            raise KeyExistsError(record.key_id)
        code = standing(record, record.update_ms)
        stored = replace(record, revision=self._log(record.key_id, code))
        self._db.execute(_INSERT, {**to_row(stored), "expiry_logged": int(code is VerdictCode.EXPIRED)})
        self._audit.add(entry_of_change(None, stored, actor))
        return stored

    def _replace(self, before: KeyRecord, after: KeyRecord, actor: str) -> KeyRecord:
        code = standing(after, after.update_ms)
        stored = replace(after, revision=self._log(before.key_id, code))
        # An expiry that this very change has told of is not to be told again.
        logged = self._expiry_logged(before.key_id) if after.expire_ms == before.expire_ms else 0
        logged = 1 if code is VerdictCode.EXPIRED else logged
        self._db.execute(_UPDATE, {**to_row(stored), "expiry_logged": logged})
        self._audit.add(entry_of_change(before, stored, actor))
        return stored

    def _next_expiry(self) -> int | None:
        row = self._db.execute(
            "SELECT min(expire_ms) FROM keys WHERE expire_ms IS NOT NULL AND expiry_logged = 0"
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def _expiry_logged(self, key_id: str) -> int:
        row = self._db.execute("SELECT expiry_logged FROM keys WHERE key_id = ?", (key_id,)).fetchone()
        return int(row[0])

    def _log(self, key_id: str, code: VerdictCode) -> int:
        revision = self._counter("revision") + 1
        self._set_counter("revision", revision)
        self._db.execute("INSERT INTO changes VALUES (?, ?, ?)", (revision, key_id, code.value))
        self._db.execute("DELETE FROM changes WHERE revision <= ?", (revision - self._change_log_size,))
        return revision

    def _counter(self, name: str) -> int:
        return int(self._db.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()[0])

    def _set_counter(self, name: str, value: int) -> None:
        self._db.execute("UPDATE counters SET value = ? WHERE name = ?", (value, name))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._audit.settle(stored=False)
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._audit.settle(stored=True)
