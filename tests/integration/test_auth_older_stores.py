"""Keys that a service stored which knew neither bounds, rotation nor the audit log."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from auth_service.adapters.store_redis.records import to_body
from auth_service.adapters.store_redis.store import SCHEMA_VERSION, RedisKeyStore
from auth_service.adapters.store_sqlite.keys import to_row
from auth_service.adapters.store_sqlite.schema import MIGRATIONS
from auth_service.adapters.store_sqlite.store import SqliteKeyStore
from auth_service.core.audit import AuditAction
from auth_service.core.keys import KeyRecord
from auth_service.core.ports import KeyStore
from service_runtime.redis_address import parse_redis_address
from tests.support.redis_server import RedisServer
from tests.unit.auth_service.fakes import NOW_MS, a_record

pytestmark = pytest.mark.integration

NEW_FIELDS = ("verification_rate", "max_uses", "replaced_by", "replaces", "own_expire_ms")
STORED = a_record("k1", expire_ms=NOW_MS + 10, revision=7)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


async def assert_it_has_a_whole_life(store: KeyStore) -> None:
    """Fail unless the old key is read, changed and rotated, and the audit log begins with that."""
    assert await store.get("k1") == STORED
    changed = await store.update("k1", lambda record: replace(record, max_uses=5, update_ms=NOW_MS + 1))
    assert changed == replace(STORED, max_uses=5, update_ms=NOW_MS + 1, revision=8)

    def rotation(record: KeyRecord) -> tuple[KeyRecord, KeyRecord]:
        return replace(record, replaced_by="k2"), replace(record, key_id="k2", replaces="k1")

    old, new = await store.rotate("k1", rotation, actor="service-token")
    assert [await store.get(key_id) for key_id in ("k1", "k2")] == [old, new]
    assert [(entry.revision, entry.action) for entry in await store.audit_entries(before=0, limit=10)] == [
        (10, AuditAction.CREATED),
        (9, AuditAction.ROTATED),
        (8, AuditAction.UPDATED),
    ]
    assert await store.record_expiries(NOW_MS) == NOW_MS + 10


async def test_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "auth.db"
    row = {name: value for name, value in to_row(STORED).items() if name not in NEW_FIELDS}
    with contextlib.closing(sqlite3.connect(path)) as older:
        older.executescript(MIGRATIONS[0])
        columns = ", ".join(row)
        places = ", ".join("?" * len(row))
        older.execute(f"INSERT INTO keys ({columns}) VALUES ({places})", tuple(row.values()))
        older.execute("UPDATE counters SET value = 7 WHERE name = 'revision'")
        older.execute("PRAGMA user_version = 1")
        older.commit()
    store = SqliteKeyStore(path, timeout_s=10.0, change_log_size=100, audit_log_size=100)
    await store.open()
    try:
        await assert_it_has_a_whole_life(store)
    finally:
        store.close()


async def test_in_redis(redis: RedisServer) -> None:
    store = RedisKeyStore(
        parse_redis_address(redis.url), namespace="older", timeout_s=10.0, change_log_size=100, audit_log_size=100
    )
    await store.open()
    body = {name: value for name, value in json.loads(to_body(STORED)).items() if name not in NEW_FIELDS}
    for words in (
        ("HSET", "meta", "revision", 7, "stamp", "s", "schema", 1, "sequence", 1),
        ("HSET", "records", "k1", f"7 {json.dumps(body)}"),
        ("ZADD", "order", 1, "k1"),
        ("ZADD", f"owner:{STORED.owner}", 1, "k1"),
        ("ZADD", "expiries", NOW_MS + 10, "k1"),
        ("HSET", "pepper_uses", 1, 1),
    ):
        command, name, *rest = words
        await store.calls.within_deadline(store.calls.command(command, store.prefix + str(name), *rest))
    try:
        await assert_it_has_a_whole_life(store)
        schema = await store.calls.within_deadline(store.calls.command("HGET", f"{store.prefix}meta", "schema"))
        assert int(schema) == SCHEMA_VERSION
    finally:
        await store.close()
