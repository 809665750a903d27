"""Presence after Redis was killed, emptied, frozen, or replaced: what is true is said until it is stored, and told once."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from session_service.adapters.cluster_redis import writer as cluster_redis_writer
from session_service.core.errors import SessionError
from session_service.core.ports import MAX_LEASE_S, DisconnectOrder
from tests.conformance.cluster_bench import LEASE_S, TOPIC, RedisBench, Service, Told
from tests.support.redis_cluster import RedisClusterServers
from tests.support.redis_sentinel import RedisSentinel
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

WATCHER, BOB = Told("watcher", True), Told("bob", True)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def bench(redis: RedisServer) -> AsyncIterator[RedisBench]:
    made = RedisBench(redis)
    yield made
    if not redis.running:
        redis.start()
    await made.close_all()


async def a_watched_channel(bench: RedisBench, *, lease_s: float = 5.0) -> tuple[Service, Service]:
    """Return two services: one with a watcher, that knows of a client on the other."""
    here, there = await bench.open(lease_s=lease_s), await bench.open(lease_s=lease_s)
    here.join("watcher", watch=True, join_ms=1)
    await here.hears(WATCHER)
    there.join("bob", join_ms=2)
    await here.hears(WATCHER, BOB)
    return here, there


async def stored_clients(bench: RedisBench, *clients: str) -> None:
    async def they_are() -> bool:
        return set(bench.entries()) == set(clients)

    await eventually(they_are, what=f"{clients} are stored")


async def test_what_changed_while_redis_was_dead_is_told_when_it_is_back(bench: RedisBench, redis: RedisServer) -> None:
    here, there = await a_watched_channel(bench)
    redis.kill9()
    there.join("carol", join_ms=3)
    moth = there.join("moth", join_ms=4)
    there.leave(moth)
    for session in there.hub.sessions_of("tests", "w1", "bob"):
        there.end(session)
    with pytest.raises(SessionError):
        await here.cluster.members(TOPIC)
    redis.start()
    await here.until_told(Told("carol", True), Told("bob", False))
    await here.sees("watcher", "carol")
    await there.sees("watcher", "carol")
    assert sorted(here.told) == sorted([WATCHER, BOB, Told("carol", True), Told("bob", False)])


async def test_redis_that_comes_back_empty_is_told_everything_and_watchers_nothing(
    bench: RedisBench, redis: RedisServer
) -> None:
    here, there = await a_watched_channel(bench)
    redis.kill9()
    for path in redis.directory.glob("appendonlydir"):
        shutil.rmtree(path)
    redis.start()
    await stored_clients(bench, "watcher", "bob")
    await there.sees("watcher", "bob")
    there.join("last", join_ms=3)
    await here.until_told(Told("last", True))
    assert here.told == [WATCHER, BOB, Told("last", True)]


async def test_a_watcher_hears_what_it_missed_while_it_was_cut_off(bench: RedisBench, redis: RedisServer) -> None:
    here, there = await a_watched_channel(bench, lease_s=LEASE_S)
    for number in range(5):
        redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        session = there.join(f"client-{number}", join_ms=10)
        await stored_clients(bench, "watcher", "bob", f"client-{number}")
        there.end(session)
        await stored_clients(bench, "watcher", "bob")
    there.join("last", join_ms=20)
    await here.until_told(Told("last", True))
    present = {"watcher", "bob"}
    for client_id, joined, _ in here.told[2:]:
        assert joined is (client_id not in present), "nobody is told to come or go twice"
        (present.add if joined else present.discard)(client_id)
    await eventually(lambda: tells_of(here, {"watcher", "bob", "last"}))


async def tells_of(service: Service, clients: set[str]) -> bool:
    """Return if, to believe what was told, exactly these are present."""
    present: set[str] = set()
    for client_id, joined, _ in service.told:
        (present.add if joined else present.discard)(client_id)
    return present == clients


async def test_a_member_that_left_unheard_is_told_to_have_left(bench: RedisBench, redis: RedisServer) -> None:
    """Its leaving was published while the watcher's service was cut off."""
    here, there = await a_watched_channel(bench, lease_s=LEASE_S)
    bob = there.hub.sessions_of("tests", "w1", "bob")[0]
    redis.command("CLIENT", "KILL", "TYPE", "pubsub")
    there.end(bob)
    await here.hears(WATCHER, BOB, Told("bob", False))


async def test_a_channel_that_its_server_has_lost_is_said_again(bench: RedisBench, redis: RedisServer) -> None:
    """As after a fail-over to a replica that had not got it: the lease holds, but the channel is heard anew."""
    here, there = await a_watched_channel(bench, lease_s=30.0)
    redis.command("DEL", bench.words.presence(TOPIC))
    redis.command("CLIENT", "KILL", "TYPE", "pubsub")
    await stored_clients(bench, "watcher", "bob")
    there.join("last", join_ms=3)
    await here.until_told(Told("last", True))
    assert here.told == [WATCHER, BOB, Told("last", True)]


async def test_a_frozen_redis_gets_the_last_word_in_the_end(bench: RedisBench, redis: RedisServer) -> None:
    """What was sent and not answered may be carried out late, behind what was said after it."""
    here, there = await a_watched_channel(bench, lease_s=30.0)
    bob = there.hub.sessions_of("tests", "w1", "bob")[0]
    redis.freeze()
    there.end(bob)
    carol = there.join("carol", join_ms=3)

    async def given_up() -> bool:
        return there.counter("retries") >= 1

    await eventually(given_up, what="the words count as perhaps said")
    there.end(carol)
    there.join("bob", join_ms=4)
    redis.thaw()
    await here.sees("watcher", "bob")
    await stored_clients(bench, "watcher", "bob")
    await eventually(lambda: tells_of(here, {"watcher", "bob"}))


async def test_a_stray_that_no_service_stands_for_does_not_count_and_goes(bench: RedisBench) -> None:
    """Its service is dead and forgotten; Redis had lost that this channel was among its topics."""
    here, dying = await a_watched_channel(bench, lease_s=LEASE_S)
    (name,) = bench.generations(dying)
    lists = bench.words.topics_of(name)
    await dying.crash()
    bench.command(lists, "DEL", lists)
    bench.command(bench.words.services, "ZREM", bench.words.services, name)
    await here.sees("watcher")
    await here.hears(WATCHER, BOB, Told("bob", False))
    await stored_clients(bench, "watcher")


@pytest.mark.parametrize("ahead_s", [MAX_LEASE_S + 60, 400 * 24 * 3600], ids=["minutes", "year"])
async def test_a_service_dies_though_the_clock_of_redis_was_set_back(bench: RedisBench, ahead_s: int) -> None:
    """Its lease goes on until the clock is as late again: it is cut to what a lease may be, and who lives loses none."""
    here, dying = await a_watched_channel(bench, lease_s=LEASE_S)
    await dying.crash()
    for service in (here, dying):
        bench.lease_until(int((time.time() + ahead_s) * 1000), service)
    await here.hears(WATCHER, BOB, Told("bob", False))
    await here.sees("watcher")
    await stored_clients(bench, "watcher")
    assert here.counter("leases_lost") == 0


async def test_a_service_that_is_deaf_listens_anew(bench: RedisBench, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = await a_watched_channel(bench, lease_s=LEASE_S)
    with monkeypatch.context() as patch:
        patch.setattr(here.cluster, "on_published", lambda channel, payload: None)

        async def noticed() -> bool:
            return here.counter("deaf") >= 1

        await eventually(noticed)
        there.join("carol", join_ms=3)
        await stored_clients(bench, "watcher", "bob", "carol")
        await here.until_told(Told("carol", True))
    there.join("dave", join_ms=4)
    await here.until_told(Told("dave", True))
    assert here.told == [WATCHER, BOB, Told("carol", True), Told("dave", True)]


async def test_questions_while_redis_is_dead(bench: RedisBench, redis: RedisServer) -> None:
    here, there = await a_watched_channel(bench)
    await bench.acquainted(here, there)
    here.deliver(1)
    redis.kill9()
    order = DisconnectOrder("tests", "w1", "watcher", "why", reconnect=False)
    assert await here.cluster.disconnect(order) == 1
    with pytest.raises(SessionError):
        await here.cluster.disconnect(order._replace(client_id="bob"))
    assert await here.cluster.written(TOPIC, 1) == 1
    assert here.counter("silent") == 1


async def test_a_service_whose_redis_is_dead_does_not_start(bench: RedisBench, redis: RedisServer) -> None:
    service = bench.make(5.0)
    await bench._servers[-1].start()
    redis.kill9()
    with pytest.raises(SessionError):
        await service.start()


async def test_channels_that_nobody_is_in_are_forgotten_after_a_while(
    bench: RedisBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await bench.open(lease_s=LEASE_S)
    topics = {f"tests/w1/room-{number}" for number in range(20)}
    sessions = [service.join("bob", topic=topic) for topic in topics]
    service.join("stays", topic="tests/w1/in-use")
    name = bench.generations(service)[0]
    inboxes: set[str] = set()

    async def listed() -> bool:
        inboxes.update(topic for topic in bench.topics_of(name) if "@" in topic)
        return bench.topics_of(name) >= topics | {"tests/w1/in-use"}

    await eventually(listed)
    assert inboxes == set(), "inboxes have no presence"
    for session in sessions:
        service.end(session)
    monkeypatch.setattr(cluster_redis_writer, "IDLE_S", 0.0)

    async def forgotten() -> bool:
        return bench.topics_of(name) == {"tests/w1/in-use"}

    await eventually(forgotten)
    monkeypatch.undo()
    service.join("bob", topic="tests/w1/room-0")

    async def listed_again() -> bool:
        return bench.topics_of(name) == {"tests/w1/in-use", "tests/w1/room-0"}

    await eventually(listed_again)


@pytest.mark.timeout(180)
async def test_presence_outlives_the_fail_over_of_its_server_in_a_redis_cluster(tmp_path: Path) -> None:
    servers = RedisClusterServers(tmp_path, masters=3, replicas=1)

    class Bench(RedisBench):
        def shared(self) -> RedisServer:
            return servers.servers[0]

        @property
        def url(self) -> str:
            return servers.url

        def command(self, key: str, *words: str | bytes | int) -> object:
            return servers.master_of(key).command(*words)

    def fail_over(key: str) -> None:
        old = servers.master_of(key)
        servers.kill9(old)
        servers.wait_replaced(old, key_slot(key.encode()))

    try:
        await asyncio.to_thread(servers.start)
        await outlives(Bench(), fail_over)
    finally:
        await asyncio.to_thread(servers.stop)


@pytest.mark.timeout(180)
async def test_presence_outlives_the_fail_over_of_its_server_in_a_sentinel_group(tmp_path: Path) -> None:
    servers = RedisSentinel(tmp_path, replicas=1)

    class Bench(RedisBench):
        def shared(self) -> RedisServer:
            return servers.servers[0]

        @property
        def url(self) -> str:
            return servers.url

        def command(self, key: str, *words: str | bytes | int) -> object:
            return servers.master().command(*words)

    def fail_over(key: str) -> None:
        servers.wait_promoted(servers.kill_master())

    try:
        await asyncio.to_thread(servers.start)
        await outlives(Bench(), fail_over)
    finally:
        await asyncio.to_thread(servers.stop)


async def outlives(bench: RedisBench, fail_over: Callable[[str], None]) -> None:
    """Presence is there after the server that has it was replaced, and watchers are told only what changed."""
    try:
        here, there = await a_watched_channel(bench, lease_s=30.0)
        await asyncio.to_thread(fail_over, bench.words.presence(TOPIC))
        there.join("carol", join_ms=3)
        await here.until_told(Told("carol", True))
        for service in (here, there):
            await service.sees("watcher", "bob", "carol")
        await stored_clients(bench, "watcher", "bob", "carol")
        assert here.told == [WATCHER, BOB, Told("carol", True)]
    finally:
        await bench.close_all()
