"""Several session services on one Redis, or one Redis Cluster, are one: presence, and questions to all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from session_service.core.errors import EngineUnavailable
from session_service.core.model import Member
from session_service.core.ports import DisconnectOrder
from tests.conformance.cluster_bench import SHARED, TOPIC, RedisBench, Service, Told
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

ORDER = DisconnectOrder("tests", "w1", "alice", "why", reconnect=True)
WATCHER = Told("watcher", True)


@pytest.fixture(params=SHARED)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[RedisBench]:
    made = SHARED[request.param]()
    yield made
    await made.close_all()


async def a_watcher(bench: RedisBench) -> Service:
    """Return a service with a watcher that has been told of itself."""
    service = await bench.open()
    service.join("watcher", watch=True, join_ms=1)
    await service.hears(WATCHER)
    return service


async def stored(bench: RedisBench, client_id: str, *services: Service) -> None:
    """Return when Redis has the client on exactly these services."""
    wanted = sorted(service.process for service in services)

    async def is_there() -> bool:
        found = bench.entries().get(client_id, [])
        return sorted(name.partition(".")[0] for name in found) == wanted

    await eventually(is_there, what=f"{client_id} is stored")


# Joining and leaving.


async def test_all_services_see_and_hear_the_same_once(bench: RedisBench) -> None:
    here, there = await a_watcher(bench), await bench.open()
    there.join("other-watcher", watch=True, join_ms=2)
    bob = there.join("bob", join_ms=3)
    await here.hears(WATCHER, Told("other-watcher", True), Told("bob", True))
    await there.hears(Told("other-watcher", True), Told("bob", True))
    for service in (here, there):
        await service.sees("watcher", "other-watcher", "bob")
    there.leave(bob)
    await here.hears(WATCHER, Told("other-watcher", True), Told("bob", True), Told("bob", False))
    await there.hears(Told("other-watcher", True), Told("bob", True), Told("bob", False))
    await here.sees("watcher", "other-watcher")


async def test_a_client_on_two_services_joins_once_and_leaves_once(bench: RedisBench) -> None:
    watching, there, elsewhere = await a_watcher(bench), await bench.open(), await bench.open()
    first = there.join("bob", join_ms=1000)
    await watching.hears(WATCHER, Told("bob", True))
    second = elsewhere.join("bob", join_ms=2000)
    await stored(bench, "bob", there, elsewhere)
    assert (await watching.cluster.members(TOPIC))[1] == Member("bob", "chat", 1000)
    assert (await elsewhere.cluster.members(TOPIC))[1] == Member("bob", "chat", 1000)
    there.leave(first)
    await stored(bench, "bob", elsewhere)
    assert (await watching.cluster.members(TOPIC))[1] == Member("bob", "chat", 1000), "the earliest time is taken over"
    elsewhere.leave(second)
    await watching.hears(WATCHER, Told("bob", True), Told("bob", False))


async def test_many_clients_at_once(bench: RedisBench) -> None:
    here, there = await a_watcher(bench), await bench.open()
    clients = [f"client-{number:03}" for number in range(700)]
    sessions = [there.join(client, join_ms=10) for client in clients]
    await here.until_told(*[Told(client, True) for client in clients])
    assert len(here.told) == 1 + len(clients)
    await here.sees("watcher", *clients)
    for session in sessions:
        there.leave(session)
    await here.until_told(*[Told(client, False) for client in clients])
    assert len(here.told) == 1 + 2 * len(clients)
    await here.sees("watcher")


async def test_many_channels_at_once(bench: RedisBench) -> None:
    here, there = await bench.open(), await bench.open(lease_s=100.0)
    topics = [f"tests/w1/room-{number}" for number in range(700)]
    sessions = [there.join("bob", topic=topic) for topic in topics]

    async def present() -> bool:
        return [await here.present(topic) for topic in topics] == [["bob"]] * len(topics)

    await eventually(present, 30.0)
    assert bench.topics_of(bench.generations(there)[0]) == set(topics)
    await there.stop_heartbeats()
    for session, topic in zip(sessions, topics, strict=True):
        there.leave(session, topic)

    async def all_gone() -> bool:
        return not any(bench.entries(topic) for topic in topics[::50])

    await eventually(all_gone, 30.0)


# Services that end.


async def test_whoever_moves_from_a_dead_service_to_a_live_one_neither_leaves_nor_joins(bench: RedisBench) -> None:
    watching, dying, living = await a_watcher(bench), await bench.open(), await bench.open()
    dying.join("bob", join_ms=5)
    await watching.hears(WATCHER, Told("bob", True))
    await dying.crash()
    living.join("bob", join_ms=6000, resumed=True)
    await forgotten(bench, dying)
    await stored(bench, "bob", living)
    living.join("last", join_ms=7000)
    await watching.hears(WATCHER, Told("bob", True), Told("last", True))
    assert (await watching.cluster.members(TOPIC))[1] == Member("bob", "chat", 5)


async def forgotten(bench: RedisBench, service: Service) -> None:
    """Return when nothing is left of a dead service."""

    async def is_forgotten() -> bool:
        return not bench.generations(service)

    await eventually(is_forgotten, what="a dead service is forgotten")


async def test_members_of_a_dead_service_leave_once_though_several_drop_them(bench: RedisBench) -> None:
    watching, dying, other = await a_watcher(bench), await bench.open(), await bench.open()
    clients = [f"client-{number:03}" for number in range(600)]
    for client in clients:
        dying.join(client, join_ms=10)
    elsewhere = [f"tests/w1/room-{number}" for number in range(250)]
    for topic in elsewhere:
        dying.join("bob", topic=topic)
    await other.sees("watcher", *clients)
    await watching.until_told(*[Told(client, True) for client in clients])
    name = bench.generations(dying)[0]

    async def all_listed() -> bool:
        return bench.topics_of(name) >= {TOPIC, *elsewhere}

    await eventually(all_listed)
    await dying.crash()
    await watching.until_told(*[Told(client, False) for client in clients])
    await forgotten(bench, dying)
    assert len(watching.told) == 1 + 2 * len(clients)
    left = await asyncio.to_thread(lambda: {client for topic in (TOPIC, *elsewhere) for client in bench.entries(topic)})
    assert left == {"watcher"}
    assert bench.topics_of(name) == set()
    await other.sees("watcher")


async def test_a_service_that_begins_alone_gives_edges_time_before_it_drops(bench: RedisBench) -> None:
    """The only service was killed, and another takes its place after the lease: edges that come back did not leave."""
    dying = await bench.open()
    dying.join("bob", join_ms=5)
    await stored(bench, "bob", dying)
    await dying.crash()
    bench.expire(dying)
    taking_over = await bench.open()
    taking_over.join("watcher", watch=True, join_ms=6, resumed=True)
    taking_over.join("bob", join_ms=7, resumed=True)
    await forgotten(bench, dying)
    await taking_over.hears(WATCHER)
    await taking_over.sees("bob", "watcher")


async def test_a_service_that_stops_leaves_its_members_for_a_moment(bench: RedisBench) -> None:
    watching, stopping, other = await a_watcher(bench), await bench.open(), await bench.open()
    stopping.join("moves", join_ms=5)
    await watching.hears(WATCHER, Told("moves", True))
    stopping.join("stays-away", join_ms=6)
    await watching.hears(WATCHER, Told("moves", True), Told("stays-away", True))
    await stopping.close()
    assert set(bench.entries()) == {"watcher", "moves", "stays-away"}
    other.join("moves", join_ms=7000, resumed=True)
    await watching.hears(WATCHER, Told("moves", True), Told("stays-away", True), Told("stays-away", False))
    await watching.sees("watcher", "moves")


# Leases.


async def test_a_service_that_was_away_too_long_says_everything_again(bench: RedisBench) -> None:
    watching, slow = await a_watcher(bench), await bench.open()
    slow.join("bob", join_ms=5)
    await watching.hears(WATCHER, Told("bob", True))
    first = bench.generations(slow)
    bench.expire(slow)

    async def lives_again() -> bool:
        return slow.counter("leases_lost") == 1 and bench.generations(slow) not in ([], first)

    await eventually(lives_again)
    await eventually(lambda: gone(bench, first[0]), what="the old name is forgotten")
    await watching.sees("watcher", "bob")
    slow.join("last", join_ms=6000)
    await watching.until_told(Told("last", True))
    told_of_bob = [told.joined for told in watching.told if told.client_id == "bob"]
    assert told_of_bob in ([True], [True, False, True]), "others may have dropped it first"
    assert [name for name in bench.entries()["bob"] if name == first[0]] == []


async def gone(bench: RedisBench, name: str) -> bool:
    return name not in bench.services()


async def test_nothing_is_lost_when_redis_forgets_everything(bench: RedisBench) -> None:
    here, there = await a_watcher(bench), await bench.open()
    bob = there.join("bob", join_ms=5)
    await here.hears(WATCHER, Told("bob", True))
    lists = [bench.words.topics_of(name) for name in bench.services()]
    for key in (bench.words.services, bench.words.presence(TOPIC), *lists):
        bench.command(key, "DEL", key)
    await stored(bench, "bob", there)
    await stored(bench, "watcher", here)
    await here.sees("watcher", "bob")
    there.leave(bob)
    await here.hears(WATCHER, Told("bob", True), Told("bob", False))


# Questions.


async def test_disconnect_and_written_are_sums_over_all_services(bench: RedisBench) -> None:
    services = await bench.open_all(3)
    for service in services:
        service.join("alice")
        service.deliver(1)
    services[1].join("bob")
    assert [await service.cluster.written(TOPIC, 1) for service in services] == [4, 4, 4]
    assert [await service.cluster.disconnect(ORDER) for service in services] == [3, 3, 3]
    assert await services[0].cluster.disconnect(ORDER._replace(client_id="bob")) == 1
    assert await services[0].cluster.disconnect(ORDER._replace(client_id="nobody")) == 0
    assert [len(service.orders) for service in services] == [5, 5, 5], "each order is carried out once"
    assert [service.counter("silent") for service in services] == [0, 0, 0]


async def test_many_questions_at_once(bench: RedisBench) -> None:
    services = await bench.open_all(3)
    for service in services:
        service.join("alice")
        service.deliver(1)
    counts = await asyncio.gather(*[service.cluster.written(TOPIC, 1) for service in services for _ in range(100)])
    assert counts == [3] * 300


async def test_a_service_that_is_silent_is_counted_and_never_taken_for_nobody(bench: RedisBench) -> None:
    here, there, silent = await bench.open_all(3)
    there.join("alice")
    there.deliver(1)
    await silent.deafen()
    assert await here.cluster.written(TOPIC, 1) == 1
    assert await here.cluster.disconnect(ORDER) == 1
    assert there.orders == [ORDER], "asked again, an answer is given again, and nothing is done twice"
    with pytest.raises(EngineUnavailable, match="may be connected there"):
        await here.cluster.disconnect(ORDER._replace(client_id="nobody"))
    assert here.counter("silent") == 3


async def test_a_service_that_has_stopped_is_not_waited_for(bench: RedisBench) -> None:
    here, stopping = await bench.open_all(2)
    await stopping.close()
    assert await here.cluster.disconnect(ORDER) == 0
    assert await here.cluster.written(TOPIC, 1) == 0
    assert here.counter("silent") == 0


async def test_words_that_are_not_understood_are_counted(bench: RedisBench) -> None:
    here, there = await bench.open_all(2)
    here.join("watcher", watch=True)
    await here.hears(WATCHER)
    for channel in (bench.words.questions, bench.words.answers(here.process), bench.words.presence(TOPIC)):
        there.cluster._lanes.submit(bench.words.publish(channel, b"\xff{"), lambda reply: None)  # type: ignore[attr-defined]

    async def counted() -> bool:
        return here.counter("malformed") == 3

    await eventually(counted)
    assert await here.cluster.disconnect(ORDER) == 0
