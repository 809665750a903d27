"""Channels come to life once, canaries go round, and what is not needed any more is let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import message_pb2

from session_service.adapters import live_channels
from session_service.core.channel import Channel
from session_service.core.errors import EngineUnavailable, LimitExceeded, SessionError
from session_service.core.model import NewMessage, Position
from tests.unit.session_service.edge_world import EdgeWorld, at
from tests.unit.session_service.fakes import TOPIC


@pytest.fixture
async def world() -> AsyncIterator[EdgeWorld]:
    async with EdgeWorld() as made:
        yield made


class Askers:
    """Everybody who waits for a channel, and what came of it."""

    def __init__(self, world: EdgeWorld) -> None:
        self.world = world
        self.order: list[int] = []
        self.channels: list[Channel] = []
        self.errors: list[SessionError] = []

    def ask(self, number: int, topic: str = TOPIC) -> None:
        def then(channel: Channel) -> None:
            self.order.append(number)
            self.channels.append(channel)

        self.world.live.when_active(topic, then, self.errors.append)


async def test_a_channel_is_subscribed_once_and_all_who_wait_come_in_order(world: EdgeWorld) -> None:
    askers = Askers(world)
    world.engine.held = True
    for number in range(3):
        askers.ask(number)
    assert askers.order == []
    world.engine.release()
    askers.ask(3)
    assert askers.order == [0, 1, 2, 3]
    assert len(set(map(id, askers.channels))) == 1


async def test_all_who_wait_are_told_of_a_failure_and_may_ask_again(world: EdgeWorld) -> None:
    askers = Askers(world)
    world.engine.held = True
    askers.ask(1)
    askers.ask(2)
    world.engine.fault = EngineUnavailable()
    world.engine.release()
    assert [type(error) for error in askers.errors] == [EngineUnavailable] * 2
    world.engine.fault = None
    world.engine.held = True
    askers.ask(3)
    world.engine.release()
    assert askers.order == [3]


async def test_channels_are_bounded_those_that_come_to_life_included() -> None:
    async with EdgeWorld(max_channels=2) as world:
        askers = Askers(world)
        world.engine.held = True
        for number in range(3):
            askers.ask(number, f"tests/w1/chat-{number}")
        assert [type(error) for error in askers.errors] == [LimitExceeded]
        world.engine.release()
        assert askers.order == [0, 1]


async def test_channels_without_members_are_let_go_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    world = EdgeWorld()
    monkeypatch.setattr(world.live, "_linger_s", 0.001)
    async with world:
        stream = await world.session()
        await stream.join()
        await stream.ask(1, leave=pb.Leave(topic=TOPIC))
        while TOPIC in world.hub.channels:
            await stream.settled()
        assert TOPIC not in world.engine.subscribed
        world.engine.say(TOPIC)
        assert (await stream.join(since=at(0))).position.offset == 1


async def test_canaries_that_wait_are_bounded(world: EdgeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_channels, "MAX_CANARIES", 2)
    came: list[str] = []
    world.engine.held = True
    for token in ("a", "b", "c"):
        world.live.send_canary(token, "edge-1", lambda token=token: came.append(token), pytest.fail)
    world.engine.release()
    assert came == ["b", "c"]


async def test_canaries_of_others_are_ignored(world: EdgeWorld) -> None:
    stored: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    topic = next(iter(world.engine.subscribed))
    world.engine.append(NewMessage(topic, "canary", "of another life", "edge-9", b"{}"), stored.set_result)
    await stored
    came = asyncio.Event()
    world.live.send_canary("token", "edge-1", came.set, pytest.fail)
    async with asyncio.timeout(10):
        await came.wait()


async def test_another_epoch_is_told_to_the_edges_that_have_members(world: EdgeWorld) -> None:
    stream = await world.session()
    await stream.join()
    world.engine.say(TOPIC, 2)
    world.live.on_renewed(TOPIC, Position("e-2", 1), lossless=False)
    world.live.on_renewed("tests/w1/nobody", Position("e-2", 1), lossless=False)
    await stream.settled()
    told = stream.of("resubscribed")[-1]
    assert (told.topic, told.position.epoch, told.position.offset) == (TOPIC, "e-2", 1)
    assert (told.recovered, told.failure) == (False, message_pb2.RECOVERY_FAILURE_EPOCH_CHANGED)
    world.live.on_renewed(TOPIC, Position("e-3", 1), lossless=True)
    await stream.settled()
    assert stream.of("resubscribed")[-1].recovered
    assert world.hub.channels[TOPIC].position == Position("e-3", 1)


async def test_a_service_that_cannot_subscribe_does_not_start() -> None:
    world = EdgeWorld()
    world.engine.fault = EngineUnavailable()
    with pytest.raises(EngineUnavailable):
        await world.live.start()
    world.live.stop()


async def test_just_after_a_start_members_who_come_back_are_not_announced() -> None:
    """They never went: the edges have kept them through the crash of the service."""
    async with EdgeWorld() as world:
        world.clock.monotonic_s -= 3600.0
        watcher = await world.session("edge-1", "watcher")
        await watcher.join(presence=True)
        other = world.attach("edge-2")
        await other.open(1, "bob")
        other.send(silent=True, resubscribe=pb.Resubscribe(topic=TOPIC, position=at(0), sessions=[1]))
        await other.ask(replay_done=pb.ReplayDone())
        await watcher.settled()
        assert [change.member.client_id for change in watcher.of("presence_changed")] == ["watcher"]
        assert len(world.hub.channels[TOPIC].members()) == 2


async def test_messages_of_channels_without_members_cost_nothing(world: EdgeWorld) -> None:
    askers = Askers(world)
    world.engine.held = True
    askers.ask(1)
    world.engine.release()
    world.engine.say(TOPIC, 2)
    assert askers.channels[0].head == 2


async def test_edges_that_go_while_the_service_drains_take_nobody_with_them() -> None:
    async with EdgeWorld(grace_s=0.0) as world:
        watcher = await world.session("edge-1", "watcher")
        await watcher.join(presence=True)
        other = await world.session("edge-2", "bob")
        await other.join()
        world.live.drain()
        await other.end()
        await watcher.settled()
        await asyncio.sleep(0)
        await watcher.settled()
        assert [change.joined for change in watcher.of("presence_changed")] == [True, True]
        assert len(world.hub.channels[TOPIC].members()) == 2
