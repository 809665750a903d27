-- One row for each channel that was ever used. Its head is the greatest offset of its messages, or `low` if none is left.
CREATE TABLE channels (
    channel_id INTEGER PRIMARY KEY,
    topic      TEXT    NOT NULL UNIQUE,
    epoch      TEXT    NOT NULL,
    low        INTEGER NOT NULL DEFAULT 0,  -- messages up to this offset are no longer shown
    low_total  INTEGER NOT NULL DEFAULT 0   -- `total_bytes` of the message at `low`
);

-- `seq` is the order in which messages were stored, over all channels.
CREATE TABLE messages (
    seq         INTEGER PRIMARY KEY,
    channel_id  INTEGER NOT NULL,
    "offset"    INTEGER NOT NULL,
    total_bytes INTEGER NOT NULL,  -- weight of the channel's messages up to this one, so that trimming by bytes needs no sum
    time_ms     INTEGER NOT NULL,
    type        TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    client_id   TEXT    NOT NULL,
    thread      TEXT,              -- domain/workspace/thread_id
    data        BLOB    NOT NULL
);
CREATE UNIQUE INDEX messages_by_offset ON messages (channel_id, "offset");
-- Idempotency: the same id of the same client in the same channel.
CREATE INDEX messages_by_publisher ON messages (channel_id, client_id, id);
CREATE INDEX messages_by_thread ON messages (thread, seq) WHERE thread IS NOT NULL;

-- What clients have acknowledged: everything after `start`, up to `offset`.
CREATE TABLE acknowledgements (
    channel_id INTEGER NOT NULL,
    client_id  TEXT    NOT NULL,
    epoch      TEXT    NOT NULL,
    start      INTEGER NOT NULL,
    "offset"   INTEGER NOT NULL,
    PRIMARY KEY (channel_id, client_id)
) WITHOUT ROWID;

CREATE TABLE threads (
    thread_row           INTEGER PRIMARY KEY,
    thread               TEXT    NOT NULL UNIQUE,  -- domain/workspace/thread_id
    scope                TEXT    NOT NULL,         -- domain/workspace
    thread_id            TEXT    NOT NULL,
    title                TEXT    NOT NULL,
    channel              TEXT    NOT NULL,
    created_by           TEXT    NOT NULL,
    create_time_ms       INTEGER NOT NULL,
    message_count        INTEGER NOT NULL,
    last_message_time_ms INTEGER NOT NULL,
    metadata             BLOB    NOT NULL
);
CREATE INDEX threads_by_scope ON threads (scope, thread_row);
