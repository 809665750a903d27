"""The audit log in the key store's SQLite file; to be written inside the transaction of the change it tells of."""

import sqlite3
from typing import Final

from auth_service.adapters import audit_lines
from auth_service.adapters.record_json import entry_of_row, shown_to_text
from auth_service.core.audit import AuditEntry

# The log is cut back once in so many entries: counting them takes a while.
_CUT_EVERY: Final = 64
_COLUMNS: Final = "revision, time_ms, actor, action, key_id, reason, before, after"
_READ: Final = f"SELECT {_COLUMNS} FROM audit WHERE revision < ? ORDER BY revision DESC LIMIT ?"  # noqa: S608 - our own names
_READ_KEY: Final = f"SELECT {_COLUMNS} FROM audit WHERE key_id = ? AND revision < ? ORDER BY revision DESC LIMIT ?"  # noqa: S608
_CUT: Final = "DELETE FROM audit WHERE revision <= (SELECT revision FROM audit ORDER BY revision DESC LIMIT 1 OFFSET ?)"
_NO_END: Final = 2**63 - 1


class SqliteAudit:
    """Entries of the audit log on one connection.

    Args:
        connection: with the schema in place.
        size: entries that are kept; some more until they are cut.
    """

    def __init__(self, connection: sqlite3.Connection, size: int) -> None:
        self._db = connection
        self._size = size
        self._until_cut = 0
        self._untold: list[AuditEntry] = []

    def add(self, entry: AuditEntry) -> None:
        """Write an entry."""
        row = (entry.revision, entry.time_ms, entry.actor, entry.action.value, entry.key_id, entry.reason)
        shown = (shown_to_text(entry.before), shown_to_text(entry.after))
        self._db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, *shown))
        self._untold.append(entry)
        self._until_cut -= 1
        if self._until_cut <= 0:
            self._db.execute(_CUT, (self._size,))
            self._until_cut = _CUT_EVERY

    def settle(self, *, stored: bool) -> None:
        """Tell of the entries of a transaction that has ended, if they are stored."""
        entries, self._untold = self._untold, []
        for entry in entries if stored else ():
            audit_lines.tell(entry)

    def read(self, before: int, limit: int, key_id: str) -> list[AuditEntry]:
        """Read entries of revisions below `before` (0: all), newest first, of one key or (empty) of all."""
        bounds = (before or _NO_END, limit)
        rows = self._db.execute(_READ_KEY, (key_id, *bounds)) if key_id else self._db.execute(_READ, bounds)
        return [entry_of_row(*row) for row in rows]
