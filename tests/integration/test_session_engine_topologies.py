"""The distributed engine on several servers: masters die, slots move, replicas lag; TLS, passwords and Unix sockets."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from session_service.core.errors import EngineTimeout, SessionError
from session_service.core.model import Position, RecoveryFailure, Stored
from session_service.core.recovery import assess
from tests.conformance.engine_bench import TOPIC, EngineUser, offsets_of
from tests.conformance.engine_factories import RedisBench
from tests.support.redis_access import Certificate, RedisAccess
from tests.support.redis_cluster import RedisClusterServers
from tests.support.redis_sentinel import RedisSentinel
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

GOES_ON_S = 10.0


class Flow:
    """Publishes numbered messages to one topic, several at a time, each again under its id until it is stored."""

    def __init__(self, user: EngineUser, topic: str = TOPIC) -> None:
        self.user = user
        self.topic = topic
        self.stored: dict[str, Stored] = {}
        self.failures: list[SessionError] = []
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._stop.is_set():
            await asyncio.gather(*[self._publish(self.user.new_id()) for _ in range(20)])

    async def _publish(self, message_id: str) -> None:
        while message_id not in self.stored:
            try:
                self.stored[message_id] = await self.user.append(self.topic, id=message_id)
            except SessionError as error:
                self.failures.append(error)
                await asyncio.sleep(0.02)  # as any client: not at once

    async def reaches(self, count: int) -> None:
        """Return when so many more messages are stored."""
        goal = len(self.stored) + count

        async def reached() -> bool:
            return len(self.stored) >= goal

        await eventually(reached, 30.0, f"{goal} messages are stored")

    async def end(self) -> None:
        """Return when everything that was begun is stored."""
        self._stop.set()
        async with asyncio.timeout(30):
            await self._task


async def complete(flow: Flow, listener: EngineUser) -> None:
    """Hold what was confirmed against what the store has, and that against what a listener heard."""
    page = await flow.user.read(flow.topic, 0, 1_000_000)
    assert offsets_of(page) == list(range(1, page.head + 1))
    where = {message.id: message.offset for message in page.messages}
    assert len(where) == page.head, "an id is stored twice"
    assert where == {message_id: stored.offset for message_id, stored in flow.stored.items()}
    await listener.until(lambda: len(listener.messages(flow.topic)) >= page.head, "everything is heard")
    assert listener.offsets(flow.topic) == list(range(1, page.head + 1))
    assert [message.id for message in listener.messages(flow.topic)] == [message.id for message in page.messages]


def renewals(user: EngineUser) -> list[tuple[Position, bool]]:
    """Return what a listener was told of other epochs."""
    return [event.of for event in user.events if event.kind == "renewed"]


# Redis Cluster.


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisClusterServers]:
    made = RedisClusterServers(tmp_path_factory.mktemp("cluster"), masters=3, replicas=1)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def on_cluster(cluster: RedisClusterServers, tmp_path: Path) -> AsyncIterator[RedisBench]:
    bench = RedisBench(tmp_path, cluster.url)
    bench.timeout_s = 3.0
    yield bench
    await bench.close_all()


async def test_a_cluster_master_is_killed_under_load(cluster: RedisClusterServers, on_cluster: RedisBench) -> None:
    """The replica has a message before it is confirmed: nothing confirmed is lost."""
    on_cluster.wait_replicas = 1
    user, other = await on_cluster.open(), await on_cluster.open()
    await other.subscribe()
    key = f"{on_cluster.namespace}:session:{{{TOPIC}}}:meta"
    flow = Flow(user)
    await flow.reaches(100)
    old = cluster.master_of(key)
    await asyncio.to_thread(old.kill9)
    await asyncio.to_thread(cluster.wait_replaced, old, key_slot(key.encode()))
    await asyncio.to_thread(cluster.restart, old)  # so that there is a replica again for who waits for one
    await asyncio.to_thread(cluster.wait_healthy)
    await flow.reaches(100)
    await flow.end()
    assert flow.failures
    await complete(flow, other)
    assert all(lossless for _, lossless in renewals(other))


async def test_service_goes_on_with_the_clusters_failover(cluster: RedisClusterServers, on_cluster: RedisBench) -> None:
    await asyncio.to_thread(cluster.wait_healthy)
    user = await on_cluster.open()
    await user.append()
    key = f"{on_cluster.namespace}:session:{{{TOPIC}}}:meta"
    flow = Flow(user)
    await flow.reaches(20)
    old = cluster.master_of(key)
    await asyncio.to_thread(old.kill9)
    await asyncio.to_thread(cluster.wait_replaced, old, key_slot(key.encode()))
    async with asyncio.timeout(GOES_ON_S):
        await flow.reaches(1)
    await flow.end()
    await asyncio.to_thread(cluster.restart, old)
    await asyncio.to_thread(cluster.wait_healthy)


async def test_a_slot_moves_under_load(cluster: RedisClusterServers, on_cluster: RedisBench) -> None:
    """What one publisher sends stays in its order, and everybody hears everything once."""
    await asyncio.to_thread(cluster.wait_healthy)
    user, other = await on_cluster.open(), await on_cluster.open()
    await other.subscribe()
    slot = key_slot(f"{{{TOPIC}}}".encode())
    flow = Flow(user)
    await flow.reaches(50)
    for _ in range(3):
        source = await asyncio.to_thread(cluster.master_of_slot, slot)
        target = next(master for master in cluster.masters if master is not source)
        await asyncio.to_thread(cluster.move_slot, slot, target)
        await flow.reaches(50)
    await flow.end()
    await complete(flow, other)
    assert all(lossless for _, lossless in renewals(other))


async def test_publishers_order_holds_while_a_slot_moves(cluster: RedisClusterServers, on_cluster: RedisBench) -> None:
    await asyncio.to_thread(cluster.wait_healthy)
    user = await on_cluster.open()
    slot = key_slot(f"{{{TOPIC}}}".encode())
    moved = asyncio.Event()
    sent: list[asyncio.Future[Stored]] = []

    async def publish() -> None:
        while not moved.is_set() or sent[-1].exception():
            sent.extend([user.submit() for _ in range(10)])
            await asyncio.wait(sent[-10:])

    publishing = asyncio.create_task(publish())
    source = await asyncio.to_thread(cluster.master_of_slot, slot)
    target = next(master for master in cluster.masters if master is not source)
    await asyncio.to_thread(cluster.move_slot, slot, target)
    moved.set()
    await publishing
    results = await asyncio.gather(*sent, return_exceptions=True)
    places = [result.offset for result in results if isinstance(result, Stored)]
    assert places == sorted(places)
    assert all(isinstance(result, Stored | SessionError) for result in results)
    assert isinstance(results[0], Stored)
    assert isinstance(results[-1], Stored)


async def test_a_server_of_a_cluster_stands_for_all(cluster: RedisClusterServers, tmp_path: Path) -> None:
    """A URL with one server is understood too."""
    await asyncio.to_thread(cluster.wait_healthy)
    bench = RedisBench(tmp_path, f"redis://127.0.0.1:{cluster.masters[0].port}")
    user = await bench.open()
    for number in range(20):
        assert (await user.append(f"tests/w1/c-{number}")).offset == 1
    await bench.close_all()


# Sentinel.


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[RedisSentinel]:
    made = RedisSentinel(tmp_path / "sentinel")
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def on_sentinel(sentinel: RedisSentinel, tmp_path: Path) -> AsyncIterator[RedisBench]:
    bench = RedisBench(tmp_path, sentinel.url)
    bench.timeout_s = 3.0
    yield bench
    await bench.close_all()


async def test_a_master_is_killed_under_load(sentinel: RedisSentinel, on_sentinel: RedisBench) -> None:
    user, other = await on_sentinel.open(), await on_sentinel.open()
    on_sentinel.wait_replicas = 1
    careful = await on_sentinel.open()
    await other.subscribe()
    flow = Flow(careful)
    await flow.reaches(100)
    old = await asyncio.to_thread(sentinel.kill_master)
    await asyncio.to_thread(sentinel.wait_promoted, old)
    async with asyncio.timeout(GOES_ON_S):
        await user.stored_at_last("tests/w1/elsewhere")
    await asyncio.to_thread(sentinel.restart, old)
    await asyncio.to_thread(sentinel.wait_healthy)
    await flow.reaches(100)
    await flow.end()
    await complete(flow, other)
    assert [lossless for _, lossless in renewals(other)] == [True]


async def test_a_fail_over_that_loses_messages_is_told(sentinel: RedisSentinel, on_sentinel: RedisBench) -> None:
    """The replica lags, the master dies: who saw lost messages is told, who did not goes on as if nothing had been."""
    user, seen_all, slow = [await on_sentinel.open() for _ in range(3)]
    await seen_all.subscribe()
    before = [await user.append(id=f"kept-{n}") for n in range(5)]
    await seen_all.until(lambda: len(seen_all.messages()) == 5, "everything is heard")
    replica = sentinel.replicas[0]
    master = sentinel.master()

    async def in_sync() -> bool:
        info = await asyncio.to_thread(master.info, "replication")
        return f"offset={info['master_repl_offset']}," in info["slave0"]

    await eventually(in_sync, what="the replica has everything")
    replica.freeze()
    master.command("CLIENT", "KILL", "TYPE", "replica")  # else what follows would wait in its socket
    lost = [await user.append(id=f"lost-{n}") for n in range(3)]
    await seen_all.until(lambda: len(seen_all.messages()) == 8, "everything is heard")
    master.kill9()
    replica.thaw()
    await asyncio.to_thread(sentinel.wait_promoted, master)
    again = await user.stored_at_last(id="kept-4")
    assert (again.offset, again.duplicate) == (5, True)  # what was kept is still known by its id
    renewed = await user.stored_at_last(id="new")
    assert renewed.offset == 6
    assert renewed.epoch not in {each.epoch for each in lost}
    await seen_all.until(lambda: len(seen_all.messages()) == 9, "the new message is heard")
    assert seen_all.messages()[-1].id == "new"
    assert renewals(seen_all) == [(Position(renewed.epoch, 5), False)]
    page = await user.read()
    old = before[0].epoch
    assert assess(Position(old, 3), page) == (3, None)
    assert assess(Position(old, 5), page) == (5, None)
    assert assess(Position(old, 6), page) == (5, RecoveryFailure.EPOCH_CHANGED)
    assert (await slow.subscribe()) == Position(renewed.epoch, 6)


async def test_acknowledgements_outlive_a_fail_over_up_to_what_was_kept(
    sentinel: RedisSentinel, on_sentinel: RedisBench
) -> None:
    on_sentinel.wait_replicas = 1
    user = await on_sentinel.open()
    first = await user.append()
    await user.append()
    user.engine.acknowledge(TOPIC, "bob", Position(first.epoch, 1))
    user.engine.acknowledge(TOPIC, "eve", Position(first.epoch, 2))
    assert await user.counts(1, 2) == [2, 1]
    await user.append("tests/w1/elsewhere")  # the replica has what came before it
    old = await asyncio.to_thread(sentinel.kill_master)
    await asyncio.to_thread(sentinel.wait_promoted, old)
    await asyncio.to_thread(sentinel.restart, old)
    await asyncio.to_thread(sentinel.wait_healthy)
    third = await user.stored_at_last()
    assert third.epoch != first.epoch
    assert await user.counts(1, 2, 3) == [2, 1, 0]
    user.engine.acknowledge(TOPIC, "bob", Position(first.epoch, 2))
    assert await user.counts(1, 2, 3) == [2, 2, 0]
    user.engine.acknowledge(TOPIC, "eve", Position(third.epoch, 3))
    assert await user.counts(1, 2, 3) == [2, 2, 1]


async def test_replicas_are_waited_for(sentinel: RedisSentinel, on_sentinel: RedisBench) -> None:
    on_sentinel.wait_replicas = 1
    user = await on_sentinel.open()
    assert (await user.append()).offset == 1
    on_sentinel.wait_replicas = 2
    careful = await on_sentinel.open()
    with pytest.raises(EngineTimeout, match="replicas"):
        await careful.append()


async def test_a_repeat_is_confirmed_only_by_replicas_too(sentinel: RedisSentinel, on_sentinel: RedisBench) -> None:
    on_sentinel.wait_replicas = 1
    on_sentinel.timeout_s = 1.0
    user = await on_sentinel.open()
    replica = sentinel.replicas[0]
    replica.freeze()
    for _ in range(2):
        with pytest.raises(EngineTimeout, match="replicas"):
            await user.append(id="same")
    replica.thaw()
    assert (await user.stored_at_last(id="same")).duplicate


# One server.


async def test_tls_with_a_password(tmp_path: Path) -> None:
    access = RedisAccess(f"canary-{secrets.token_hex(8)}", Certificate.make(tmp_path / "tls"))
    await works(RedisServer(tmp_path / "redis", access=access), tmp_path)


async def test_a_unix_socket(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis", {"unixsocket": str(tmp_path / "redis.sock")})
    await works(server, tmp_path, unix=True)


async def works(server: RedisServer, tmp_path: Path, *, unix: bool = False) -> None:
    """Publish, hear, and survive a crash."""
    server.start()
    bench = RedisBench(tmp_path, server.unix_url if unix else server.url)
    user, other = await bench.open(), await bench.open()
    await other.subscribe()
    await user.append()
    server.restart()
    await user.stored_at_last()
    await other.until(lambda: other.offsets() == [1, 2], "everything is heard")
    assert not renewals(other)
    await bench.close_all()
    server.stop()
