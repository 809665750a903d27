"""Two of each service on one Redis: any one of them may be stopped or killed, and clients notice a pause at most."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.ledger import Place, Publisher, Subscriber, history
from tests.support.processes import ServiceProcess
from tests.support.protocol_client import Clients, new_name
from tests.support.redis_server import RedisServer
from tests.support.services import ManyServices
from tests.support.target import Target
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

KEY = "valid-test-key"
MESSAGES = 400
DEADLINE_S = 30.0


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis that keeps everything."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def services(tmp_path: Path, redis: RedisServer) -> AsyncIterator[ManyServices]:
    """Two of each service, stopped in order at the end."""
    # A deadline that a slow machine keeps as well: what is tested is that nobody is told of an error, not how quickly.
    flags = {"frames-per-second": 0, "bytes-per-second": 0, "session-deadline-s": 20}
    made = ManyServices(tmp_path, redis.url, edge=flags)
    async with made:
        yield made


class Talk:
    """One channel with a member on each edge that stays connected; what is said there, in rounds."""

    def __init__(self, services: ManyServices) -> None:
        self.services = services
        self.urls = [f"ws://{edge.address}" for edge in services.edges]
        self.place = (KEY, new_name("w"), "chat")
        self.subscribers = [Subscriber(url, f"hears-{n}", *self.place) for n, url in enumerate(self.urls)]
        self.publishers: list[Publisher] = []

    async def joined(self) -> None:
        await asyncio.gather(*(subscriber.joined.wait() for subscriber in self.subscribers))

    async def publish_while(self, happens: Callable[[], Awaitable[None]]) -> list[Publisher]:
        """Publish at every edge, and let something happen in the middle of it; return the publishers."""
        made = [Publisher(url, new_name(f"says-{n}"), *self.place, MESSAGES) for n, url in enumerate(self.urls)]
        self.publishers += made
        publishing = [asyncio.create_task(publisher.run()) for publisher in made]

        async def under_way() -> bool:
            return all(len(publisher.confirmed) >= MESSAGES // 8 for publisher in made)

        await eventually(under_way, DEADLINE_S, "some are confirmed")
        assert not any(task.done() for task in publishing), "all was said before anything happened"
        await happens()
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*publishing)
        return made

    async def check(self) -> None:
        """What was confirmed is kept and was heard by everybody: once, in one order, as each publisher said it."""
        kept = await history(self.urls[0], new_name("reads"), *self.place)
        assert [place.offset for place, _ in kept] == list(range(1, len(self.publishers) * MESSAGES + 1))
        where: dict[str, Place] = {message: place for place, message in kept}
        for publisher in self.publishers:
            assert len(publisher.confirmed) == MESSAGES
            assert all(where[message] == place for message, place in publisher.confirmed.items())
        for subscriber in self.subscribers:

            async def heard_all(subscriber: Subscriber = subscriber) -> bool:
                return len(subscriber.heard) >= len(kept)

            await eventually(heard_all, DEADLINE_S, "everything is heard")
            assert subscriber.connected
            assert subscriber.heard == kept

    async def check_order(self, publishers: list[Publisher]) -> None:
        """Each publisher's messages stand in the order in which it sent them."""
        kept = await history(self.urls[1], new_name("reads"), *self.place)
        for publisher in publishers:
            said = [message for _, message in kept if message.startswith(f"{publisher.client_id}-")]
            assert said == [f"{publisher.client_id}-{number}" for number in range(MESSAGES)]

    async def end(self) -> None:
        await asyncio.gather(*(subscriber.stop() for subscriber in self.subscribers))


def noticed_nothing(publishers: list[Publisher]) -> bool:
    """Say if no publisher was told of an error, or lost its connection."""
    return all((publisher.connections, publisher.repeats) == (1, 0) for publisher in publishers)


async def everybody_at(services: ManyServices, session: ServiceProcess) -> str:
    """Return the id of a session service when every edge is attached to it, as both sides say."""

    def there() -> bool:
        ids = {services.attached_to(edge) for edge in services.edges}
        return len(ids) == 1 and None not in ids and services.counted(session, "tidewire_session_edges") == 2

    async def moved() -> bool:
        return await asyncio.to_thread(there)

    await eventually(moved, DEADLINE_S, f"every edge is attached to {session.name}")
    return str(services.attached_to(services.edges[0]))


def busier_first(services: ManyServices) -> tuple[ServiceProcess, ServiceProcess]:
    """Return the session services, first the one that more edges are attached to."""
    first, second = sorted(
        services.sessions, key=lambda session: services.counted(session, "tidewire_session_edges"), reverse=True
    )
    return first, second


@pytest.mark.timeout(120)
async def test_each_session_service_is_stopped_in_turn(services: ManyServices) -> None:
    first, second = await asyncio.to_thread(busier_first, services)
    talk = Talk(services)
    await talk.joined()

    async def stop(session: ServiceProcess) -> None:
        assert await asyncio.to_thread(session.stop) == 0

    publishers = await talk.publish_while(lambda: stop(first))
    id_of_second = await everybody_at(services, second)
    assert noticed_nothing(publishers)
    await asyncio.to_thread(first.start)
    publishers = await talk.publish_while(lambda: stop(second))
    id_of_first = await everybody_at(services, first)
    assert noticed_nothing(publishers)
    assert id_of_first != id_of_second
    await talk.check()
    await talk.check_order(talk.publishers)
    await talk.end()


@pytest.mark.timeout(120)
async def test_each_session_service_is_killed_in_turn(services: ManyServices) -> None:
    first, second = await asyncio.to_thread(busier_first, services)
    talk = Talk(services)
    await talk.joined()
    publishers = await talk.publish_while(lambda: asyncio.to_thread(first.kill9))
    id_of_second = await everybody_at(services, second)
    assert noticed_nothing(publishers)
    await asyncio.to_thread(first.start)
    publishers = await talk.publish_while(lambda: asyncio.to_thread(second.kill9))
    id_of_first = await everybody_at(services, first)
    assert noticed_nothing(publishers)
    assert id_of_first != id_of_second
    await talk.check()
    await talk.check_order(talk.publishers)
    await talk.end()


@pytest.mark.timeout(120)
async def test_a_store_that_is_away_for_a_moment_is_a_pause(services: ManyServices, redis: RedisServer) -> None:
    """Session services and edges repeat what could not be done; nobody is told of an error, unless order would suffer."""
    talk = Talk(services)
    await talk.joined()
    publishers = await talk.publish_while(lambda: asyncio.to_thread(redis.restart))
    await talk.check()
    total = {
        name: sum([services.counted(edge, f"tidewire_edge_stream_{name}_total") for edge in services.edges])
        for name in ("overtaken_commands", "timeouts")
    }
    assert all(publisher.connections == 1 for publisher in publishers)
    assert sum(publisher.repeats for publisher in publishers) == total["overtaken_commands"] + total["timeouts"]
    await talk.check_order([publisher for publisher in publishers if not publisher.repeats])
    await talk.end()


@pytest.mark.timeout(120)
async def test_a_client_goes_on_at_the_other_edge(services: ManyServices) -> None:
    async with Clients(Target.of(services)) as here, Clients(Target.of(services, services.edges[1])) as there:
        there.workspace = here.workspace
        name, channel = new_name("wanders"), new_name("room")
        wanderer = await here.member(channel, name)
        own = await wanderer.publish(channel, "mine", id="own-1")
        await wanderer.take("chat_message", content="mine")
        await wanderer.close()
        speaker = await here.member(channel)
        missed = [await speaker.publish(channel, f"missed {n}") for n in range(3)]

        back = await there.open(name)
        place = {"channel": channel, "epoch": own["data"]["epoch"], "offset": own["data"]["offset"]}
        await back.authenticate(here.workspace, resume=[place])
        await back.expect("subscription_success", channel=channel, recovered=True)
        for confirmation in missed:
            heard = await back.expect("chat_message", channel=channel)
            assert (heard["epoch"], heard["offset"]) == (own["data"]["epoch"], confirmation["data"]["offset"])
        again = await back.publish(channel, "mine", id="own-1")
        assert (again["data"]["epoch"], again["data"]["offset"]) == (own["data"]["epoch"], own["data"]["offset"])
        after = await speaker.publish(channel, "after")
        assert (await back.take("chat_message", content="after"))["offset"] == after["data"]["offset"]
        assert after["data"]["offset"] == own["data"]["offset"] + 4, "the same id is stored once"


@pytest.mark.timeout(120)
async def test_an_auth_service_is_killed(services: ManyServices) -> None:
    """Keys that no edge knows yet get in at both edges; a revocation acts as before."""
    victim, survivor = services.auths
    services.auth = survivor
    admin = services.key_admin()
    before = [admin.create() for _ in range(4)]
    async with Clients(Target.of(services)) as here, Clients(Target.of(services, services.edges[1])) as there:
        await asyncio.to_thread(victim.kill9)
        keys = before + [admin.create() for _ in range(4)]
        inside = [await clients.connected(api_key=key.api_key) for key in keys for clients in (here, there)]
        await asyncio.to_thread(admin.revoke, keys[0])
        for client in inside[:2]:
            # Besides, an edge tells a client that its permissions were checked again when it hears of a key late.
            await client.take("error", error_type="key_revoked", code=403)
            await client.take("disconnect", code=4000)
        for client in inside[2:]:
            await client.take("pong", frame_id=await client.send("ping", {}))
        await asyncio.to_thread(victim.start)
