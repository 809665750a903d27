"""Where uses lie: the script on Redis reckons as the core does, waits for replicas, and leaves nothing behind; overload."""

from __future__ import annotations

import asyncio
import random
import re
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from auth_service.adapters import charge_queue
from auth_service.adapters.redis_access import scripts
from auth_service.adapters.store_redis.store import RedisKeyStore
from auth_service.adapters.store_redis.uses import RedisUses
from auth_service.adapters.store_sqlite.store import SqliteKeyStore
from auth_service.adapters.store_sqlite.uses import SqliteUses
from auth_service.core.charging import UNUSED, Uses, cells_of, charge
from auth_service.core.errors import StoreUnavailableError
from auth_service.core.keys import KeyRecord, VerificationRate
from auth_service.core.verification import VerdictCode
from service_runtime.redis_address import parse_redis_address
from tests.support.redis_sentinel import RedisSentinel
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tests.unit.auth_service.fakes import a_record

pytestmark = pytest.mark.integration

HOUR_MS = 3_600_000
NOW_US = 1_800_000_000_000_000
OUTCOMES = {0: VerdictCode.VALID, 1: VerdictCode.RATE_LIMITED, 2: VerdictCode.USAGE_EXCEEDED}
CLOCK = "local time = redis.call('TIME')\n"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


async def opened(url: str, **more: int) -> RedisKeyStore:
    store = RedisKeyStore(
        parse_redis_address(url), namespace="uses", timeout_s=2.0, change_log_size=100, audit_log_size=100, **more
    )
    await store.open()
    return store


@pytest.fixture
async def on_redis(redis: RedisServer) -> AsyncIterator[RedisUses]:
    store = await opened(redis.url)
    yield RedisUses(store.calls, store.prefix)
    await store.close()


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[SqliteKeyStore]:
    store = SqliteKeyStore(tmp_path / "auth.db", timeout_s=10.0, change_log_size=100, audit_log_size=100)
    await store.open()
    yield store
    store.close()


# Redis.


def random_record(chance: random.Random) -> KeyRecord:
    rated = chance.random() < 0.8
    rate = VerificationRate(chance.choice([1, 2, 3, 7, 1000, 10**6]), chance.choice([1000, 1001, 86_400_000]))
    max_uses = 0 if rated and chance.random() < 0.5 else chance.choice([1, 5, 30])
    return a_record(verification_rate=rate if rated else None, max_uses=max_uses)


@pytest.mark.parametrize("seed", range(8))
def test_the_script_reckons_as_the_core_does(redis: RedisServer, seed: int) -> None:
    text = (scripts.FOLDER / "charge.lua").read_text()
    assert CLOCK in text
    # The time of this test is not that of the server, so the server must not let anything expire.
    at_a_time = re.sub(r"redis\.call\('PEXPIRE'.*", "", text.replace(CLOCK, "local time = { 0, ARGV[#ARGV] }\n"))
    chance, now_us, uses, name = random.Random(seed), NOW_US, UNUSED, f"same-{seed}"
    record = random_record(chance)
    for _ in range(300):
        now_us += chance.choice([0, 0, 1, 999, 333_333, 333_334, 1_000_000, 90_000_000, -5_000])
        if chance.random() < 0.02:
            record = random_record(chance)
        charges = chance.random() < 0.8
        expected, after = charge(record, uses, now_us)
        rate = record.verification_rate
        words = [*(cells_of(rate) if rate else (0, 0)), record.max_uses, now_us]
        _, outcome, wait_us, left = redis.command("EVAL", at_a_time, 1, name, int(charges), *words)
        assert OUTCOMES[outcome] is expected.code
        assert -(-wait_us // 1000) == expected.retry_after_ms
        if record.max_uses and outcome == 0:
            assert left == expected.remaining_uses
        uses = after if charges else uses
        found = redis.command("HMGET", name, "use_count", "full_at_us")
        assert Uses(*[int(value or 0) for value in found]) == uses


async def test_a_rate_alone_leaves_nothing_behind_and_a_count_stays(redis: RedisServer, on_redis: RedisUses) -> None:
    name = "{uses:auth}:uses:left"
    rated = a_record("left", verification_rate=VerificationRate(2, HOUR_MS))
    await on_redis.charge([rated], 0)
    assert HOUR_MS // 2 - 60_000 < redis.command("PTTL", name) <= HOUR_MS // 2
    await on_redis.charge([rated], 0)
    assert HOUR_MS - 60_000 < redis.command("PTTL", name) <= HOUR_MS
    await on_redis.charge([a_record("left", max_uses=9)], 0)
    assert redis.command("PTTL", name) == -1
    await on_redis.charge([a_record("left", verification_rate=VerificationRate(9, HOUR_MS))], 0)
    assert redis.command("PTTL", name) == -1


async def test_time_is_that_of_the_server(on_redis: RedisUses) -> None:
    record = a_record("clock", verification_rate=VerificationRate(1, HOUR_MS))
    (first,), (second,) = await on_redis.charge([record], 0), await on_redis.charge([record], 10**18)
    assert (first.code, second.code) == (VerdictCode.VALID, VerdictCode.RATE_LIMITED)


async def test_a_charge_that_no_replica_has_is_a_fault_and_a_denial_is_none(redis: RedisServer) -> None:
    store = await opened(redis.url, wait_replicas=1)
    try:
        uses = RedisUses(store.calls, store.prefix)
        record = a_record("replicas", max_uses=1)
        with pytest.raises(StoreUnavailableError, match="0 of 1 replicas"):
            await uses.charge([record], 0)
        (denied,) = await uses.charge([record], 0)
        assert denied.code is VerdictCode.USAGE_EXCEEDED
    finally:
        await store.close()


async def test_a_charge_that_was_answered_outlives_a_fail_over(tmp_path: Path) -> None:
    servers = RedisSentinel(tmp_path, sentinels=1)
    servers.start()
    try:
        store = await opened(servers.url, wait_replicas=1)
        uses, record = RedisUses(store.calls, store.prefix), a_record("fails-over", max_uses=2)
        try:
            (first,) = await uses.charge([record], 0)
            assert first.remaining_uses == 1
            servers.wait_promoted(servers.kill_master())

            async def counted() -> bool:
                try:
                    return await uses.use_counts(["fails-over"]) == {"fails-over": 1}
                except StoreUnavailableError:
                    return False

            await eventually(counted, 20.0)
        finally:
            await store.close()
    finally:
        servers.stop()


async def test_calls_that_wait_share_a_script(redis: RedisServer, on_redis: RedisUses) -> None:
    def scripts() -> int:
        return int(redis.info("commandstats").get("cmdstat_evalsha", "calls=0,").split("calls=")[1].split(",")[0])

    record, before = a_record("shared", max_uses=1000), scripts()
    await asyncio.gather(*[on_redis.charge([record], 0) for _ in range(100)])
    assert await on_redis.use_counts(["shared"]) == {"shared": 100}
    assert scripts() - before <= 4
    await on_redis.close()


# A file.


async def test_calls_that_wait_share_a_transaction(file: SqliteKeyStore) -> None:
    uses, record = SqliteUses(file), a_record(max_uses=1000)
    statements: list[str] = []
    file._connections[0].set_trace_callback(statements.append)
    await asyncio.gather(*[uses.charge([record], 0) for _ in range(100)])
    assert await uses.use_counts(["k1"]) == {"k1": 100}
    assert statements.count("COMMIT") <= 4
    await uses.close()


async def test_too_many_that_wait_are_refused_at_once(file: SqliteKeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charge_queue, "MAX_WAITING_CALLS", 3)
    uses, record, release = SqliteUses(file), a_record(max_uses=1000), threading.Event()
    blocker = asyncio.ensure_future(file.transact(lambda connection: release.wait(10)))
    await asyncio.sleep(0)
    waiting = [asyncio.ensure_future(uses.charge([record], 0)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailableError, match="overloaded"):
        await uses.charge([record], 0)
    release.set()
    await blocker
    assert len([await call for call in waiting]) == 3


async def test_what_goes_together_is_bounded_and_each_call_stays_in_one_piece(
    file: SqliteKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charge_queue, "MAX_KEYS_AT_ONCE", 5)
    uses, record = SqliteUses(file), a_record(max_uses=1000)
    statements: list[str] = []
    file._connections[0].set_trace_callback(statements.append)
    answers = await asyncio.gather(*[uses.charge([record] * size, 0) for size in (1, 3, 2, 7, 1)])
    assert [len(answer) for answer in answers] == [1, 3, 2, 7, 1]
    assert [charge.remaining_uses for answer in answers for charge in answer] == list(range(999, 985, -1))
    assert statements.count("COMMIT") == 4  # 1 and 3, 2, 7, 1


async def test_who_gives_up_takes_nobody_with_them(file: SqliteKeyStore) -> None:
    uses, record = SqliteUses(file), a_record(max_uses=1000)
    calls = [asyncio.ensure_future(uses.charge([record], 0)) for _ in range(3)]
    await asyncio.sleep(0)
    calls[1].cancel()
    await asyncio.wait(calls)
    assert [call.cancelled() for call in calls] == [False, True, False]
    await uses.close()
    assert (await uses.use_counts(["k1"]))["k1"] == 3


async def test_a_file_that_fails_is_a_fault_for_all_who_wait(file: SqliteKeyStore) -> None:
    uses, record = SqliteUses(file), a_record(max_uses=1000)
    await file.transact(lambda connection: connection.execute("DROP TABLE uses"))
    outcomes = await asyncio.gather(*[uses.charge([record], 0) for _ in range(5)], return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailableError}
    with pytest.raises(StoreUnavailableError):
        await uses.look(record, time.time_ns() // 1000)


async def test_closing_what_was_never_used(file: SqliteKeyStore) -> None:
    await SqliteUses(file).close()
