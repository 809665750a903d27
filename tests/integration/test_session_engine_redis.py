"""The distributed engine and its server: lost pub/sub, crashes with and without data, silence, several services at once."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from session_service.adapters.engine_redis.engine import RedisEngine
from session_service.core.canary import canary_topic
from session_service.core.errors import EngineTimeout, EngineUnavailable, SessionError
from session_service.core.model import Position, Stored
from tests.conformance.engine_bench import TOPIC, EngineUser, offsets_of
from tests.conformance.engine_factories import RedisBench
from tests.support.redis_server import RedisServer
from tests.support.silent_proxy import SilentProxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path / "redis")
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def bench(server: RedisServer, tmp_path: Path) -> AsyncIterator[RedisBench]:
    made = RedisBench(tmp_path, server.url)
    yield made
    await made.close_all()


@pytest.fixture
async def user(bench: RedisBench) -> EngineUser:
    return await bench.open()


@pytest.fixture
async def admin(server: RedisServer) -> AsyncIterator[Redis]:
    client = Redis.from_url(server.url)
    yield client
    await client.aclose()


async def heard(bench: RedisBench, admin: Redis, count: int, topic: str = TOPIC) -> None:
    """Return when so many connections listen to a topic."""
    channel = f"{bench.namespace}:session:{{{topic}}}"

    async def listening() -> bool:
        return (await admin.pubsub_numsub(channel))[0][1] == count

    await eventually(listening, what=f"{count} listen to {topic}")


def empty(server: RedisServer) -> None:
    """Crash the server and bring it back without its data."""
    server.kill9()
    shutil.rmtree(server.directory / "appendonlydir")
    server.start()


# Several services.


async def test_two_engines_see_one_order(bench: RedisBench, user: EngineUser) -> None:
    other = await bench.open()
    await asyncio.gather(user.subscribe(), other.subscribe())
    await asyncio.gather(*[each.append(id=f"{number}") for number in range(300) for each in (user, other)])
    both = (user, other)
    await user.until(lambda: len(user.messages()) >= 300, "every message is given")
    await other.until(lambda: len(other.messages()) >= 300, "every message is given")
    for each in both:
        assert each.offsets() == list(range(1, 301))  # ids are stored once, whoever publishes them
    assert user.messages() == other.messages() == list((await user.read()).messages)


async def test_a_listener_without_publishing(bench: RedisBench, user: EngineUser) -> None:
    other = await bench.open()
    await other.subscribe()
    await user.fill(50)
    await other.until(lambda: other.offsets() == list(range(1, 51)), "everything comes")


async def test_namespaces_are_apart(bench: RedisBench, server: RedisServer, user: EngineUser, tmp_path: Path) -> None:
    elsewhere = RedisBench(tmp_path, server.url)
    stranger = await elsewhere.open()
    await stranger.subscribe()
    await user.append()
    assert (await stranger.append()).offset == 1
    assert [message.offset for message in stranger.messages()] == [1]
    await elsewhere.close_all()


# Pub/sub loses.


async def test_what_pubsub_lost_is_filled_in_order(bench: RedisBench, user: EngineUser, admin: Redis) -> None:
    """Another service publishes while the connection that listens is killed, again and again."""
    other = await bench.open()
    await other.subscribe()
    await heard(bench, admin, 1)
    for _ in range(5):
        await user.fill(100)
        killed = asyncio.create_task(admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub"))
        await user.fill(100)
        assert await killed >= 1
        await user.fill(100)
        await heard(bench, admin, 1)
    await other.until(lambda: len(other.offsets()) >= 1500, "everything comes")
    assert other.offsets() == list(range(1, 1501))
    assert isinstance(other.engine, RedisEngine)
    assert other.engine._metrics.gaps_filled.value >= 1


async def test_a_subscription_of_another_engine_is_exact_under_load(bench: RedisBench, user: EngineUser) -> None:
    other = await bench.open()
    stop = asyncio.Event()

    async def publish() -> None:
        while not stop.is_set():
            await user.fill(20)

    publishing = asyncio.create_task(publish())
    for _ in range(20):
        position = await other.subscribe()
        before = len(other.messages())
        await other.until(lambda before=before: len(other.messages()) > before + 40, "messages come")
        offsets = other.offsets()[before:]
        assert offsets == list(range(position.offset + 1, position.offset + 1 + len(offsets)))
        other.engine.unsubscribe(TOPIC)
    stop.set()
    await publishing


async def test_a_canary_comes_by_pubsub_only(bench: RedisBench, user: EngineUser, admin: Redis) -> None:
    topic = canary_topic("service-1")
    await user.subscribe(topic)
    await heard(bench, admin, 1, topic)
    stored = await user.append(topic)
    await user.until(lambda: user.offsets(topic) == [stored.offset], "the canary comes")


# Crashes.


async def test_a_killed_server_loses_nothing_confirmed(
    bench: RedisBench, server: RedisServer, user: EngineUser
) -> None:
    await user.subscribe()
    confirmed: list[Stored] = []
    failed = 0
    for _ in range(3):
        promises = [user.submit() for _ in range(2000)]
        await promises[300]
        server.kill9()
        results = await asyncio.gather(*promises, return_exceptions=True)
        assert all(isinstance(result, Stored | EngineTimeout | EngineUnavailable) for result in results)
        confirmed += [result for result in results if isinstance(result, Stored)]
        failed += sum(isinstance(result, SessionError) for result in results)
        server.start()
        confirmed.append(await user.stored_at_last())
    assert failed > 0
    page = await user.read(TOPIC, 0, 100_000)
    assert offsets_of(page) == list(range(1, page.head + 1))
    assert {(each.epoch, each.offset) for each in confirmed} <= {(m.epoch, m.offset) for m in page.messages}
    await user.until(lambda: len(user.messages()) >= page.head, "the rest comes")
    assert user.offsets() == list(range(1, page.head + 1))


async def test_a_short_crash_is_a_pause_and_keeps_the_order(
    server: RedisServer, user: EngineUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("session_service.adapters.redis_access.lane.AGAIN_WITHIN_S", 8.0)
    promises = [user.submit() for _ in range(2000)]
    await promises[300]
    await asyncio.to_thread(server.restart)
    stored = await asyncio.gather(*promises)
    assert [each.offset for each in stored] == list(range(1, 2001))


async def test_an_id_is_known_after_a_crash(server: RedisServer, user: EngineUser) -> None:
    first = await user.append(id="same")
    server.restart()
    assert await user.stored_at_last(id="same") == first._replace(duplicate=True)


async def test_acknowledgements_and_threads_outlive_a_crash(server: RedisServer, user: EngineUser) -> None:
    await user.create_thread()
    stored = await user.append(thread_id="t-1")
    user.engine.acknowledge(TOPIC, "bob", Position(stored.epoch, 1))
    assert await user.counts(1) == [1]
    server.restart()
    await user.stored_at_last()
    assert await user.acknowledged() == (stored.epoch, 1)
    assert [m.offset for m in (await user.engine.thread_messages("tests", "w1", "t-1", 9, 0)).messages] == [1]


async def test_an_empty_server_begins_new_epochs(bench: RedisBench, server: RedisServer, user: EngineUser) -> None:
    other = await bench.open()
    old = await other.subscribe()
    await user.fill(5)
    await other.until(lambda: len(other.messages()) == 5, "everything comes")
    await asyncio.to_thread(empty, server)
    stored = await user.stored_at_last()
    assert stored.epoch != old.epoch
    await user.append()
    await other.until(lambda: len(other.messages()) >= 7, "the new epoch comes")
    assert [(m.epoch, m.offset) for m in other.messages()[5:]] == [(stored.epoch, 1), (stored.epoch, 2)]


async def test_history_that_went_back_gets_another_epoch(
    bench: RedisBench, server: RedisServer, user: EngineUser, admin: Redis
) -> None:
    """As after a fail-over to a replica that lacked the newest messages."""
    old = await user.subscribe()
    await user.fill(5)
    await heard(bench, admin, 1)
    key = f"{bench.namespace}:session:{{{TOPIC}}}"
    await admin.hset(f"{key}:meta", "head", 3)
    await admin.delete(f"{key}:log")
    await admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    async def renewed() -> bool:
        return (await user.read()).epoch != old.epoch

    await eventually(renewed, what="another epoch")
    stored = await user.append()
    assert (stored.offset, stored.epoch != old.epoch) == (4, True)
    await user.until(lambda: user.messages()[-1].epoch == stored.epoch, "it comes")
    assert user.offsets() == [1, 2, 3, 4, 5, 4]


# Faults.


async def test_a_server_that_is_away_stored_nothing(server: RedisServer, user: EngineUser) -> None:
    await user.append()
    server.kill9()

    async def known() -> bool:
        try:
            await user.append()
        except EngineUnavailable as error:
            return error.safe_to_repeat
        except EngineTimeout:
            return False
        return False

    await eventually(known, what="refused at once")
    for answer in (user.read(), user.acknowledged(), user.create_thread()):
        with pytest.raises((EngineUnavailable, EngineTimeout)):
            await answer
    server.start()
    assert (await user.stored_at_last()).offset == 2


async def test_a_server_that_still_loads_is_waited_for(bench: RedisBench, server: RedisServer) -> None:
    user = await bench.open()
    await user.fill(50)
    await user.close()
    await asyncio.to_thread(server.prepare_slow_launch)
    server.kill9()
    server.launch_slowly(1.5)
    await eventually(lambda: asyncio.to_thread(server.loads), what="it loads")
    again = await bench.open()
    assert (await again.append()).offset == 51
    assert len({message.epoch for message in (await again.read()).messages}) == 1


async def test_an_engine_without_a_server_does_not_start(server: RedisServer, bench: RedisBench) -> None:
    server.kill9()
    with pytest.raises(EngineUnavailable):
        await bench.open()


async def test_a_frozen_server_times_out_and_comes_back(bench: RedisBench, server: RedisServer, admin: Redis) -> None:
    bench.timeout_s = 0.5
    user, other = await bench.open(), await bench.open()
    await other.subscribe()
    await heard(bench, admin, 1)
    await user.append()
    server.freeze()
    with pytest.raises(EngineTimeout):
        await user.append(id="perhaps")
    with pytest.raises((EngineTimeout, EngineUnavailable)):
        await user.read()
    server.thaw()
    assert (await user.stored_at_last(id="perhaps")).offset == 2
    await user.append()
    await other.until(lambda: other.offsets() == [1, 2, 3], "each once, in order")


async def test_a_read_only_server_refuses(user: EngineUser, admin: Redis) -> None:
    await user.append()
    await admin.execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(EngineUnavailable):
        await user.append()
    await admin.execute_command("REPLICAOF", "NO", "ONE")
    assert (await user.append()).offset == 2


async def test_a_full_server_refuses_and_keeps_what_it_has(user: EngineUser, admin: Redis) -> None:
    await user.append(data=b"x" * 1000)
    await admin.config_set("maxmemory", "1")
    with pytest.raises(EngineUnavailable) as refused:
        await user.append()
    assert refused.value.safe_to_repeat
    await admin.config_set("maxmemory", "0")
    assert (await user.append()).offset == 2
    assert offsets_of(await user.read()) == [1, 2]


async def test_flushed_scripts_are_loaded_again(user: EngineUser, admin: Redis) -> None:
    await user.append()
    await admin.script_flush()
    assert (await user.stored_at_last()).offset == 2
    assert len((await user.last(TOPIC, 2)).messages) == 2


async def test_too_few_replicas_are_not_success(bench: RedisBench) -> None:
    bench.timeout_s = 0.5
    bench.wait_replicas = 1
    user = await bench.open()
    with pytest.raises(EngineTimeout, match="replicas"):
        await user.append()


# Silence.


async def test_a_silent_connection_is_noticed_and_healed(
    bench: RedisBench, server: RedisServer, user: EngineUser, admin: Redis, tmp_path: Path
) -> None:
    """The connection that listens stays open and brings nothing: within five seconds everything has come."""
    proxy = SilentProxy(server.port)
    await proxy.start()
    bench.url = f"redis://127.0.0.1:{proxy.port}"
    deaf = await bench.open()
    await deaf.subscribe()
    await heard(bench, admin, 1)
    assert proxy.silence_subscribers() == 1
    await user.fill(10)
    async with asyncio.timeout(30):
        await deaf.until(lambda: len(deaf.messages()) == 10, "what came meanwhile is read")
    assert deaf.offsets() == list(range(1, 11))
    await deaf.close()
    await proxy.stop()
