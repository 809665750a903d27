"""Retention of the SQLite engine, in small steps between groups.

A channel is trimmed at once by moving its `low`; the rows go later, when they are older than the idempotency window: an id
must be remembered for the window however soon its message is trimmed. They go by few statements, as they came (`group.py`).
"""

from __future__ import annotations

import sqlite3
from itertools import islice
from typing import Final

from session_service.adapters.engine_sqlite.group import ChannelState, Group
from session_service.adapters.engine_sqlite.ops import WriterSettings

# Part of the usual time to the next step, when a channel had more to delete than goes into one.
_PAUSE_WHEN_BEHIND: Final = 0.2
# Between two steps of a store to which nothing is written, and where the last step deleted all that was to go.
_IDLE_S: Final = 1.0
_OF_A_CHANNEL: Final = 'FROM messages INDEXED BY messages_by_offset WHERE channel_id = ? AND "offset" <= ?'
_OLDEST: Final = f'SELECT time_ms {_OF_A_CHANNEL} ORDER BY "offset" LIMIT 1'
_LAST_TO_GO: Final = (
    f'WITH looked_at AS MATERIALIZED (SELECT "offset", time_ms {_OF_A_CHANNEL} ORDER BY "offset" LIMIT ?)'  # noqa: S608
    ' SELECT coalesce((SELECT min("offset") - 1 FROM looked_at WHERE time_ms >= ?), (SELECT max("offset") FROM looked_at))'
)
_THREADS_TO_GO: Final = f"SELECT thread, count(*) {_OF_A_CHANNEL} AND thread IS NOT NULL GROUP BY thread"


class Trimmer:
    """Looks at channels that were written to or have more to delete, and in turn at all others.

    Args:
        settings: Rules and sizes of steps.
    """

    def __init__(self, settings: WriterSettings) -> None:
        self._settings = settings
        self._written: dict[str, None] = {}
        self._cursor = 0
        self.put_off()

    def wrote(self, topic: str) -> None:
        """Note that a channel was written to."""
        self._written[topic] = None

    @property
    def due(self) -> bool:
        """It is time for a step."""
        return self._settings.monotonic_s() >= self._next_s

    @property
    def idle_s(self) -> float:
        """Seconds for which there is nothing to do if nothing is written: few while there is more to delete."""
        return self._pause_s if self._pause_s < self._settings.trim_interval_s else _IDLE_S

    def step(self, db: sqlite3.Connection, group: Group) -> int:
        """Look at a few channels inside the group's transaction; return how many rows were deleted."""
        topics = list(islice(self._written, self._settings.trim_channels))
        for topic in topics:
            del self._written[topic]
        topics += self._in_turn(db, self._settings.trim_channels - len(topics))
        deleted = {topic: self._trim(db, group.channel(topic)) for topic in dict.fromkeys(topics)}
        behind = [topic for topic, count in deleted.items() if count == self._settings.trim_rows]
        self._written.update(dict.fromkeys(behind))
        self._pause(_PAUSE_WHEN_BEHIND if behind else 1)
        return sum(deleted.values())

    def put_off(self) -> None:
        """Wait as long as when nothing is to be deleted: the last step came to nothing, as on a full disk."""
        self._pause(1)

    def _pause(self, share: float) -> None:
        self._pause_s = share * self._settings.trim_interval_s
        self._next_s = self._settings.monotonic_s() + self._pause_s

    def _in_turn(self, db: sqlite3.Connection, count: int) -> list[str]:
        rows = db.execute(
            "SELECT channel_id, topic FROM channels WHERE channel_id > ? ORDER BY channel_id LIMIT ?",
            (self._cursor, count),
        ).fetchall()
        self._cursor = rows[-1][0] if rows else 0
        return [topic for _, topic in rows]

    def _trim(self, db: sqlite3.Connection, state: ChannelState) -> int:
        low = max(
            state.low, state.head - state.rule.max_messages, self._low_by_age(db, state), self._low_by_bytes(db, state)
        )
        if low > state.low:
            (state.low_total,) = db.execute(
                'SELECT total_bytes FROM messages WHERE channel_id = ? AND "offset" = ?', (state.channel_id, low)
            ).fetchone()
            state.low = low
            db.execute(
                "UPDATE channels SET low = ?, low_total = ? WHERE channel_id = ?",
                (low, state.low_total, state.channel_id),
            )
        return self._delete(db, state)

    def _low_by_age(self, db: sqlite3.Connection, state: ChannelState) -> int:
        oldest_ms = int((self._settings.now_s() - state.rule.max_age_s) * 1000)
        row = db.execute(
            'SELECT "offset" FROM messages WHERE channel_id = ? AND "offset" > ? AND time_ms >= ?'
            ' ORDER BY "offset" LIMIT 1',
            (state.channel_id, state.low, oldest_ms),
        ).fetchone()
        return state.head if row is None else int(row[0]) - 1

    @staticmethod
    def _low_by_bytes(db: sqlite3.Connection, state: ChannelState) -> int:
        if state.total - state.low_total <= state.rule.max_bytes:
            return state.low
        row = db.execute(
            'SELECT "offset" FROM messages WHERE channel_id = ? AND "offset" > ? AND total_bytes >= ?'
            ' ORDER BY "offset" LIMIT 1',
            (state.channel_id, state.low, state.total - state.rule.max_bytes),
        ).fetchone()
        return int(row[0])

    def _delete(self, db: sqlite3.Connection, state: ChannelState) -> int:
        """Delete rows that are trimmed and older than the window; their threads count them no longer.

        They are looked at from the oldest on, and no further than the first that is not old enough: there may be as many behind
        it as were stored in the whole window.
        """
        oldest_ms = int((self._settings.now_s() - self._settings.idempotency_window_s) * 1000)
        oldest = db.execute(_OLDEST, (state.channel_id, state.low)).fetchone()
        if oldest is None or oldest[0] >= oldest_ms:
            return 0
        (last,) = db.execute(_LAST_TO_GO, (state.channel_id, state.low, self._settings.trim_rows, oldest_ms)).fetchone()
        gone = db.execute(_THREADS_TO_GO, (state.channel_id, last)).fetchall()
        db.executemany(
            "UPDATE threads SET message_count = max(0, message_count - ?) WHERE thread = ?",
            [(count, thread) for thread, count in gone],
        )
        return db.execute(
            'DELETE FROM messages WHERE channel_id = ? AND "offset" <= ?', (state.channel_id, last)
        ).rowcount
