"""The key store in a SQLite file: WAL, `synchronous=FULL`, one thread for all that takes a transaction.

Point reads (`get`) run on the event loop's own read-only connection: in WAL mode they wait for no writer and
take some 20 microseconds, a good deal less than the way to another thread and back.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from auth_service.adapters import metrics
from auth_service.adapters.store_sqlite.keys import SqliteKeys
from auth_service.adapters.store_sqlite.schema import migrate
from auth_service.core.audit import SYSTEM, AuditEntry
from auth_service.core.errors import StoreUnavailableError
from auth_service.core.keys import KeyRecord
from auth_service.core.ports import MAX_KEYS, Change, KeyPage, RecordChange, RecordRotation
from service_runtime.logs import get_logger

T = TypeVar("T")

# Calls that wait for the store's thread at most; one more is refused at once.
MAX_WAITING_CALLS: Final = 1024
# How long a point read may wait for a lock: it holds up the event loop.
READ_BUSY_MS: Final = 50
SWITCH_AGAIN_S: Final = 0.005
_UNAVAILABLE: Final = "the key store did not answer; the call may be repeated"

log = get_logger("auth_service.store")


class SqliteKeyStore:
    """A `KeyStore` in one file. Open it with `open`, close it with `close`.

    Args:
        path: the file; made when it is not there.
        timeout_s: how long a call may take, waiting included.
        change_log_size: entries of the change log that are kept.
        audit_log_size: entries of the audit log that are kept.
        max_keys: keys that it may hold.
    """

    def __init__(
        self, path: Path, *, timeout_s: float, change_log_size: int, audit_log_size: int, max_keys: int = MAX_KEYS
    ) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._sizes = change_log_size, audit_log_size, max_keys
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="key-store")
        self._waiting = 0
        self._connections: list[sqlite3.Connection] = []

    async def open(self) -> None:
        """Open the file and bring its schema up to date.

        Raises:
            StoreUnavailableError: it cannot be opened, is no key store, or is one of a later version.
        """
        try:
            self._writer = await self._in_thread(self._open_writer)
            self._reader = await self._in_thread(self._open_reader)
        except (sqlite3.Error, OSError, TimeoutError) as error:
            self.close()
            raise StoreUnavailableError(f"the key store {self._path} cannot be opened: {error}") from None
        except StoreUnavailableError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; what was confirmed is on the disk already."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    async def get(self, key_id: str) -> KeyRecord | None:
        """Read one key."""
        try:
            return self._reader.get(key_id)
        except sqlite3.Error as error:
            raise self._failed(error) from None

    async def create(self, record: KeyRecord, *, actor: str = SYSTEM) -> KeyRecord:
        """Store a new key."""
        return await self._call(lambda: self._writer.create(record, actor))

    async def create_first(self, record: KeyRecord) -> KeyRecord:
        """Store the first admin key."""
        return await self._call(lambda: self._writer.create(record, SYSTEM, first=True))

    async def update(self, key_id: str, change: RecordChange, *, actor: str = SYSTEM) -> KeyRecord:
        """Change a key; `change` runs in the store's thread."""
        return await self._call(lambda: self._writer.update(key_id, change, actor))

    async def rotate(self, key_id: str, rotation: RecordRotation, *, actor: str) -> tuple[KeyRecord, KeyRecord]:
        """Change a key, and store the one that takes its place; `rotation` runs in the store's thread."""
        return await self._call(lambda: self._writer.rotate(key_id, rotation, actor))

    async def delete(self, key_id: str, *, now_ms: int, actor: str = SYSTEM, reason: str = "") -> None:
        """Remove a key for good."""
        await self._call(lambda: self._writer.delete(key_id, actor, reason, now_ms))

    async def audit_entries(self, *, before: int, limit: int, key_id: str = "") -> Sequence[AuditEntry]:
        """Read the audit log."""
        return await self._call(lambda: self._writer.audit_entries(before, limit, key_id))

    async def list_keys(self, *, after: int, limit: int, owner: str) -> KeyPage:
        """Read a page of keys."""
        return await self._call(lambda: self._writer.list_keys(after, limit, owner))

    async def development_key_ids(self) -> Sequence[str]:
        """Return the ids of the development keys."""
        return await self._call(self._writer.development_key_ids)

    async def revision(self) -> int:
        """Return the revision of the last change."""
        return await self._call(self._writer.revision)

    async def changes_since(self, revision: int, limit: int) -> Sequence[Change]:
        """Return changes after a revision."""
        return await self._call(lambda: self._writer.changes_since(revision, limit))

    async def record_expiries(self, now_ms: int) -> int | None:
        """Log expiries that have passed."""
        return await self._call(lambda: self._writer.record_expiries(now_ms))

    async def check_peppers(self, fingerprints: Mapping[int, str]) -> None:
        """Hold the peppers against those of the store."""
        await self._call(lambda: self._writer.check_peppers(fingerprints))

    async def rehash(self, old: KeyRecord, secret_hash: bytes, pepper_version: int) -> bool:
        """Store the hash of a key's secret under another pepper."""
        return await self._call(lambda: self._writer.rehash(old, secret_hash, pepper_version))

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something else that lies in the file, in one transaction in the store's thread."""
        return await self._call(lambda: self._writer.transact(work))

    async def canary(self, number: int) -> int | None:
        """Write a number, and return what the reading connection finds."""
        await self._call(lambda: self._writer.write_canary(number))
        try:
            return self._reader.read_canary()
        except sqlite3.Error as error:
            raise self._failed(error) from None

    async def _call(self, work: Callable[[], T]) -> T:
        try:
            return await self._in_thread(work)
        except (sqlite3.Error, OSError, TimeoutError) as error:
            raise self._failed(error) from None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING_CALLS:
            raise StoreUnavailableError("the key store is overloaded; the call may be repeated")
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        self._waiting += 1
        future.add_done_callback(self._done)
        # Shielded: a caller that gives up does not take a call out of the books that is still running.
        async with asyncio.timeout(self._timeout_s):
            return await asyncio.shield(future)

    def _done(self, future: "asyncio.Future[T]") -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()  # seen here, in case that nobody waits for it any more

    def _failed(self, error: Exception) -> StoreUnavailableError:
        metrics.STORE_ERRORS.inc()
        log.error("store failed", error=repr(error), path=str(self._path))
        return StoreUnavailableError(_UNAVAILABLE)

    def _open_writer(self) -> SqliteKeys:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.touch(mode=0o600)
        busy_ms = int(self._timeout_s * 500)
        connection = self._connect(str(self._path), busy_ms=busy_ms)
        _log_ahead(connection, busy_ms)
        connection.execute("PRAGMA synchronous = FULL")
        migrate(connection)
        return SqliteKeys(connection, *self._sizes)

    def _open_reader(self) -> SqliteKeys:
        connection = self._connect(str(self._path), busy_ms=READ_BUSY_MS)
        connection.execute("PRAGMA query_only = ON")
        return SqliteKeys(connection, *self._sizes)

    def _connect(self, path: str, *, busy_ms: int) -> sqlite3.Connection:
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=busy_ms / 1000, cached_statements=64
        )
        self._connections.append(connection)
        return connection


def _log_ahead(connection: sqlite3.Connection, busy_ms: int) -> None:
    """Switch a file to WAL. Two that switch a new file at once stand in each other's way, and for that SQLite does not wait.

    Args:
        connection: To the file.
        busy_ms: How long it may take, in milliseconds.

    Raises:
        sqlite3.OperationalError: somebody had the file all the time.
    """
    deadline = time.monotonic() + busy_ms / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(SWITCH_AGAIN_S)
        else:
            return
