"""Stores of older services: such as knew neither bounds, rotation nor the audit log, and such as had no index of that."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from auth_service.adapters.record_json import entry_to_text
from auth_service.adapters.store_redis.records import to_body
from auth_service.adapters.store_redis.store import SCHEMA_VERSION, RedisKeyStore
from auth_service.adapters.store_sqlite.keys import to_row
from auth_service.adapters.store_sqlite.schema import MIGRATIONS
from auth_service.adapters.store_sqlite.store import SqliteKeyStore
from auth_service.core.audit import SYSTEM, AuditAction, AuditEntry, entry_of_removal
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


def redis_store(redis: RedisServer, audit_log_size: int = 100) -> RedisKeyStore:
    """Return a store that is not yet open."""
    return RedisKeyStore(
        parse_redis_address(redis.url),
        namespace="older",
        timeout_s=10.0,
        change_log_size=100,
        audit_log_size=audit_log_size,
    )


def of_key(number: int) -> str:
    """Return the key that an older entry of the audit log is about."""
    return f"k{number % 3}"


def older_entry(number: int) -> AuditEntry:
    """Return such an entry; numbers are revisions, from 1 on."""
    return replace(entry_of_removal(a_record(of_key(number)), SYSTEM, f"reason {number}", NOW_MS), revision=number)


async def assert_entries_are_found_by_their_key(store: KeyStore, count: int) -> None:
    """Fail unless all of so many older entries are found by their keys, and by their revisions as before."""
    everything = [older_entry(number) for number in range(count, 0, -1)]
    assert list(await store.audit_entries(before=0, limit=count + 1)) == everything
    for key_id in ("k0", "k1", "k2"):
        wanted = [entry for entry in everything if entry.key_id == key_id]
        assert list(await store.audit_entries(before=0, limit=count, key_id=key_id)) == wanted
        assert (
            list(await store.audit_entries(before=6, limit=1, key_id=key_id))
            == [entry for entry in wanted if entry.revision < 6][:1]
        )


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
    store = redis_store(redis)
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


async def test_the_audit_log_of_a_file_is_indexed_by_key(tmp_path: Path) -> None:
    path, count = tmp_path / "auth.db", 20
    with contextlib.closing(sqlite3.connect(path)) as older:
        for script in MIGRATIONS[:3]:
            older.executescript(script)
        older.execute("PRAGMA user_version = 3")
        for number in range(1, count + 1):
            values = json.loads(entry_to_text(older_entry(number)))
            older.execute(
                "INSERT INTO audit VALUES (:revision, :time_ms, :actor, :action, :key_id, :reason, :before, :after)",
                {**values, "revision": number},
            )
        older.commit()
    store = SqliteKeyStore(path, timeout_s=10.0, change_log_size=100, audit_log_size=100)
    await store.open()
    try:
        await assert_entries_are_found_by_their_key(store, count)
        query = "EXPLAIN QUERY PLAN SELECT reason FROM audit WHERE key_id = 'k' AND revision < 9 ORDER BY revision DESC"
        plan = await store.transact(lambda connection: connection.execute(query).fetchall())
        assert [row[3] for row in plan] == ["SEARCH audit USING INDEX audit_by_key (key_id=? AND revision<?)"]
    finally:
        store.close()


async def test_the_audit_log_of_a_redis_is_indexed_by_key(redis: RedisServer) -> None:
    # More than are indexed at once.
    count, prefix = 2500, "{older:auth}:"
    await fill_audit_log(redis, prefix, range(1, count + 1))
    store = redis_store(redis, audit_log_size=count)
    await store.open()
    try:
        await assert_entries_are_found_by_their_key(store, count)
        # What is written now is in the index too, and the oldest entry goes out of both.
        await store.create(a_record("k0"), actor="key:boss")
        for_key = await store.audit_entries(before=0, limit=count, key_id="k0")
        assert (for_key[0].actor, for_key[1]) == ("key:boss", older_entry(count - count % 3))
        assert (await store.audit_entries(before=0, limit=count, key_id="k1"))[-1].revision == 4
    finally:
        await store.close()


async def test_what_an_older_service_wrote_meanwhile_is_indexed_at_the_next_start(redis: RedisServer) -> None:
    first, second = redis_store(redis), redis_store(redis)
    await fill_audit_log(redis, "{older:auth}:", range(1, 6))
    await first.open()
    await first.close()
    await fill_audit_log(redis, "{older:auth}:", range(6, 10))
    await second.open()
    try:
        await assert_entries_are_found_by_their_key(second, 9)
    finally:
        await second.close()


async def fill_audit_log(redis: RedisServer, prefix: str, revisions: range) -> None:
    """Write entries as a service did that knew no index."""
    async with Redis.from_url(redis.url) as client, client.pipeline(transaction=False) as pipeline:
        for number in revisions:
            pipeline.xadd(f"{prefix}audit", {"entry": entry_to_text(older_entry(number))}, id=f"{number}-0")
        pipeline.hset(f"{prefix}meta", mapping={"revision": revisions[-1], "stamp": "s", "schema": 2})
        await pipeline.execute()
