"""Appends to the embedded engine for ever and prints each confirmation: a process for tests to kill.

    python -m tests.support.engine_appender <database file> <name of this life>

Each line is `topic epoch offset id`, printed after the engine has confirmed.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from pathlib import Path

from prometheus_client import CollectorRegistry

from session_service.adapters.engine_sqlite.engine import SqliteEngine
from session_service.adapters.engine_sqlite.ops import WriterSettings
from session_service.adapters.metrics_prometheus import EngineMetrics
from session_service.core.model import NewMessage, Stored, StoredMessage
from session_service.core.retention import RetentionPolicy, RetentionRule

TOPICS = [f"tests/w1/chat-{number}" for number in range(5)]
AT_ONCE = 40


class Nobody:
    """A listener of nothing."""

    def on_message(self, message: StoredMessage) -> None:
        raise AssertionError("nothing is subscribed")


def open_engine(path: Path) -> SqliteEngine:
    """Return an engine that keeps everything."""
    settings = WriterSettings(
        RetentionPolicy(RetentionRule(1 << 30, 1e9, 1 << 40)),
        now_s=time.time,
        monotonic_s=time.monotonic,
        new_epoch=lambda: secrets.token_hex(8),
    )
    return SqliteEngine(path, settings, timeout_s=20.0, metrics=EngineMetrics(CollectorRegistry()))


async def append_for_ever(engine: SqliteEngine, life: str) -> None:
    """Keep so many appends under way."""
    free = asyncio.Semaphore(AT_ONCE)
    number = 0
    while True:
        await free.acquire()
        number += 1
        topic, message_id = TOPICS[number % len(TOPICS)], f"{life}-{number}"

        def stored(result: object, topic: str = topic, message_id: str = message_id) -> None:
            assert isinstance(result, Stored), result
            print(topic, result.epoch, result.offset, message_id, flush=True)
            free.release()

        data = b'{"content":"' + b"x" * (number % 3000) + b'"}'
        engine.append(NewMessage(topic, "chat_message", message_id, "alice", data), stored)


async def main() -> None:
    engine = open_engine(Path(sys.argv[1]))
    await engine.start(Nobody())
    await append_for_ever(engine, sys.argv[2])


if __name__ == "__main__":
    asyncio.run(main())
