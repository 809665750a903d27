"""Watchers are told each change once, in whatever order what is published and what is read come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from session_service.adapters.cluster_redis import views as cluster_redis_views
from session_service.adapters.cluster_redis.views import PresenceViews
from session_service.core.errors import EngineUnavailable
from session_service.core.model import Member
from tests.unit.session_service.fakes import TOPIC


def a_member(client_id: str) -> Member:
    return Member(client_id, "chat", 1)


class Hash:
    """What Redis has; each read is answered when the test says so."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[asyncio.Future[Mapping[str, Member]]] = asyncio.Queue()

    async def read(self, topic: str) -> Mapping[str, Member]:
        answer: asyncio.Future[Mapping[str, Member]] = asyncio.get_running_loop().create_future()
        self.asked.put_nowait(answer)
        return await answer

    async def answer(self, *clients: str) -> None:
        """Answer the next read, and return when that was taken."""
        (await self.begun()).set_result({client: a_member(client) for client in clients})
        await self.taken()

    async def begun(self) -> asyncio.Future[Mapping[str, Member]]:
        async with asyncio.timeout(10):
            return await self.asked.get()

    async def taken(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


class World:
    def __init__(self, patience_s: float = 0.001) -> None:
        self.hash = Hash()
        self.told: list[tuple[str, bool]] = []
        self.views = PresenceViews(self.hash.read, self._tell, patience_s=patience_s)

    def _tell(self, topic: str, member: Member, joined: bool) -> None:
        assert topic == TOPIC
        self.told.append((member.client_id, joined))

    def change(self, client_id: str, joined: bool) -> None:
        self.views.change(TOPIC, a_member(client_id), joined=joined)

    async def watched(self, *clients: str) -> None:
        """Begin, and say who is present."""
        self.views.begin(TOPIC)
        await self.hash.answer(*clients)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    made.views.start()
    yield made
    await made.views.close()


async def test_who_is_there_already_is_not_told(world: World) -> None:
    await world.watched("alice")
    assert world.told == []
    world.change("alice", True)
    world.change("bob", True)
    world.change("alice", False)
    world.change("carol", False)
    assert world.told == [("bob", True), ("alice", False)]


async def test_changes_before_the_first_answer_are_told(world: World) -> None:
    world.views.begin(TOPIC)
    answer = await world.hash.begun()
    world.change("bob", True)
    world.change("alice", False)
    answer.set_result({"alice": a_member("alice"), "carol": a_member("carol")})
    await world.hash.taken()
    world.change("bob", True)
    world.change("alice", False)
    world.change("carol", True)
    assert world.told == [("bob", True), ("alice", False)]


async def test_what_differs_when_a_channel_is_first_heard_is_told_at_once(world: World) -> None:
    await world.watched("alice", "bob")
    world.views.heard(TOPIC, again=False)
    await world.hash.answer("bob", "carol")
    assert world.told == [("carol", True), ("alice", False)]


async def test_whoever_is_missing_when_it_is_heard_again_may_be_said_again(world: World) -> None:
    await world.watched("alice", "bob", "carol")
    world.views.heard(TOPIC, again=True)
    await world.hash.answer("dave")
    assert world.told == [("dave", True)]
    world.change("alice", True)
    assert world.told == [("dave", True)]
    await world.hash.answer("alice", "carol", "dave")
    assert world.told == [("dave", True), ("bob", False)]


async def test_what_is_heard_while_it_is_read_is_newer(world: World) -> None:
    await world.watched("alice")
    world.views.heard(TOPIC, again=False)
    answer = await world.hash.begun()
    world.change("alice", False)
    world.change("bob", True)
    answer.set_result({"alice": a_member("alice")})
    await world.hash.taken()
    assert world.told == [("alice", False), ("bob", True)]


async def test_a_read_that_fails_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_redis_views, "RETRY_S", 0.001)
    world.views.begin(TOPIC)
    (await world.hash.begun()).set_exception(EngineUnavailable())
    await world.hash.answer("alice")
    world.change("alice", True)
    assert world.told == []


async def test_nothing_is_told_of_a_topic_that_is_watched_no_more(world: World) -> None:
    await world.watched("alice")
    world.views.heard(TOPIC, again=True)
    answer = await world.hash.begun()
    world.views.end(TOPIC)
    world.views.end(TOPIC)
    answer.set_result({"bob": a_member("bob")})
    await world.hash.taken()
    world.change("carol", True)
    world.views.heard(TOPIC, again=True)
    assert world.told == []


async def test_a_read_that_fails_for_nobody_is_not_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_redis_views, "RETRY_S", 0.0)
    world.views.begin(TOPIC)
    answer = await world.hash.begun()
    world.views.end(TOPIC)
    answer.set_exception(EngineUnavailable())
    await world.hash.taken()
    assert world.hash.asked.empty()
