"""The SQLite schema of the key store, as numbered migrations; `PRAGMA user_version` says which have run."""

import sqlite3
from typing import Final

from auth_service.core.errors import StoreUnavailableError

# Never change one that was released: append.
MIGRATIONS: Final = (
    """
    CREATE TABLE keys (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        key_id TEXT NOT NULL UNIQUE,
        secret_hash BLOB NOT NULL,
        pepper_version INTEGER NOT NULL,
        environment TEXT NOT NULL,
        prefix TEXT NOT NULL,
        owner TEXT NOT NULL,
        name TEXT NOT NULL,
        permissions TEXT NOT NULL,
        allowed_domains TEXT NOT NULL,
        allowed_workspaces TEXT NOT NULL,
        limits TEXT NOT NULL,
        create_ms INTEGER NOT NULL,
        update_ms INTEGER NOT NULL,
        expire_ms INTEGER,
        state TEXT NOT NULL CHECK (state IN ('active', 'disabled', 'revoked')),
        state_reason TEXT NOT NULL,
        development INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        expiry_logged INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX keys_by_owner ON keys (owner, sequence);
    CREATE INDEX keys_by_expiry ON keys (expire_ms) WHERE expire_ms IS NOT NULL AND expiry_logged = 0;
    CREATE INDEX keys_for_development ON keys (key_id) WHERE development = 1;
    CREATE TABLE changes (
        revision INTEGER PRIMARY KEY,
        key_id TEXT NOT NULL,
        code TEXT NOT NULL
    ) STRICT;
    CREATE TABLE counters (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT;
    INSERT INTO counters (name, value) VALUES ('revision', 0), ('bootstrapped', 0);
    CREATE TABLE peppers (
        version INTEGER PRIMARY KEY,
        fingerprint TEXT NOT NULL
    ) STRICT;
    """,
    """
    ALTER TABLE keys ADD COLUMN verification_rate TEXT;
    ALTER TABLE keys ADD COLUMN max_uses INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE keys ADD COLUMN replaced_by TEXT NOT NULL DEFAULT '';
    ALTER TABLE keys ADD COLUMN replaces TEXT NOT NULL DEFAULT '';
    CREATE TABLE uses (
        key_id TEXT PRIMARY KEY,
        use_count INTEGER NOT NULL DEFAULT 0,
        full_at_us INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE audit (
        revision INTEGER PRIMARY KEY,
        time_ms INTEGER NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        key_id TEXT NOT NULL,
        reason TEXT NOT NULL,
        before TEXT,
        after TEXT
    ) STRICT;
    """,
    """
    ALTER TABLE keys ADD COLUMN own_expire_ms INTEGER;
    """,
    """
    CREATE INDEX audit_by_key ON audit (key_id, revision);
    """,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date; idempotent, and safe against another process doing the same.

    Raises:
        StoreUnavailableError: the database was made by a later version of the service.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StoreUnavailableError(
                f"the key store has schema version {version}, this service knows {len(MIGRATIONS)} at most:"
                " it was made by a later version"
            )
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            # Not executescript: that would end the transaction.
            for statement in script.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
