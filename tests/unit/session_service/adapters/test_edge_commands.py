"""Commands of an edge: their answers, their order, and that nothing is missed or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import message_pb2

from service_runtime.grpc_channel import MAX_MESSAGE_BYTES
from session_service.adapters.channel_queries import MAX_LISTED
from session_service.core.errors import EngineTimeout, EngineUnavailable
from session_service.core.model import Member, NewMessage, Position
from session_service.core.ports import DisconnectOrder
from session_service.core.topic import broadcast_topic, inbox_topic
from tests.unit.session_service.edge_world import EdgeWorld, an_opening, at, offsets_of, place, reason
from tests.unit.session_service.fakes import EPOCH, TOPIC

INBOX = inbox_topic("tests", "w1", "alice")
BROADCASTS = broadcast_topic("tests", "w1")
EXPIRED = message_pb2.RECOVERY_FAILURE_HISTORY_EXPIRED
CHANGED = message_pb2.RECOVERY_FAILURE_EPOCH_CHANGED


@pytest.fixture
async def world() -> AsyncIterator[EdgeWorld]:
    async with EdgeWorld() as made:
        yield made


# Sessions.


async def test_an_opened_session_stands_in_its_inbox_and_the_broadcasts(world: EdgeWorld) -> None:
    world.engine.fill(BROADCASTS, 3)
    stream = world.attach()
    opened = await stream.open(1)
    assert (place(opened.broadcasts), place(opened.inbox)) == (Position(EPOCH, 3), Position(EPOCH, 0))
    world.engine.say(BROADCASTS)
    world.engine.say(INBOX)
    await stream.settled()
    assert (stream.offsets(BROADCASTS), stream.offsets(INBOX)) == ([4], [1])


async def test_what_waits_in_the_inbox_comes_from_the_acknowledged_position(world: EdgeWorld) -> None:
    world.engine.fill(INBOX, 5)
    world.engine.acknowledge(INBOX, "alice", Position(EPOCH, 2))
    stream = world.attach()
    assert offsets_of((await stream.open(1)).inbox_missed) == [3, 4, 5]
    assert offsets_of((await stream.open(2, inbox=at(4))).inbox_missed) == [5]
    assert offsets_of((await stream.open(3, "bob")).inbox_missed) == []


async def test_a_message_that_comes_while_the_inbox_is_read_is_seen_once(world: EdgeWorld) -> None:
    world.engine.fill(INBOX, 2)
    world.engine.stepwise = True
    stream = world.attach()
    ref = stream.send(1, open_session=an_opening())
    turn = await world.engine.next_read()
    world.engine.say(INBOX, 3)
    turn.set_result(None)
    world.engine.run_freely()
    opened = (await stream.answer(ref)).session_opened
    world.engine.say(INBOX)
    await stream.settled()
    assert offsets_of(opened.inbox_missed) + stream.offsets(INBOX) == [1, 2, 3, 4, 5, 6]


async def test_a_resumed_session_gets_the_broadcasts_that_it_missed(world: EdgeWorld) -> None:
    world.engine.fill(BROADCASTS, 4)
    stream = world.attach()
    opened = await stream.open(1, broadcasts=at(1))
    assert (offsets_of(opened.broadcasts_missed), opened.broadcasts_failure) == ([2, 3, 4], 0)
    assert offsets_of((await stream.open(2)).broadcasts_missed) == []
    world.engine.topic(BROADCASTS).low = 3
    opened = await stream.open(3, broadcasts=at(1))
    assert (offsets_of(opened.broadcasts_missed), opened.broadcasts_failure) == ([4], EXPIRED)
    assert (await stream.open(4, broadcasts=at(1, "e0"))).broadcasts_failure == CHANGED
    assert (await stream.open(5, inbox=at(7))).inbox_failure == CHANGED


@pytest.mark.parametrize("reads_before", [0, 1, 2])
async def test_what_comes_to_both_standing_channels_while_a_session_opens_is_seen_once(
    world: EdgeWorld, reads_before: int
) -> None:
    for topic in (BROADCASTS, INBOX):
        world.engine.fill(topic, 3)
    world.engine.stepwise = True
    stream = world.attach()
    ref = stream.send(1, open_session=an_opening(broadcasts=at(1), inbox=at(1)))
    for _ in range(reads_before):
        (await world.engine.next_read()).set_result(None)
    turn = await world.engine.next_read()
    for topic in (BROADCASTS, INBOX):
        world.engine.say(topic, 2)
    turn.set_result(None)
    world.engine.run_freely()
    opened = (await stream.answer(ref)).session_opened
    for topic in (BROADCASTS, INBOX):
        world.engine.say(topic)
    await stream.settled()
    assert offsets_of(opened.broadcasts_missed) + stream.offsets(BROADCASTS) == [2, 3, 4, 5, 6]
    assert offsets_of(opened.inbox_missed) + stream.offsets(INBOX) == [2, 3, 4, 5, 6]
    assert (opened.broadcasts.offset, opened.inbox.offset) == (5, 5)


@pytest.mark.parametrize("field", ["client_id", "domain", "workspace"])
async def test_a_session_with_a_bad_name_is_refused(world: EdgeWorld, field: str) -> None:
    stream = world.attach()
    assert reason(await stream.ask(1, open_session=an_opening(**{field: "a b"}))) == "INVALID_FIELD"
    assert stream.edge.sessions == {}


async def test_a_session_that_cannot_be_opened_is_forgotten(world: EdgeWorld) -> None:
    stream = world.attach()
    world.engine.fault = EngineUnavailable()
    assert reason(await stream.ask(1, open_session=an_opening())) == "ENGINE_UNAVAILABLE"
    assert stream.edge.sessions == {}
    world.engine.fault = None
    await stream.open(1)


async def test_an_inbox_that_cannot_be_read_leaves_nothing_behind(world: EdgeWorld) -> None:
    world.engine.fill(INBOX, 1)
    stream = await world.session(client_id="bob")
    world.engine.stepwise = True
    ref = stream.send(2, open_session=an_opening())
    turn = await world.engine.next_read()
    world.engine.fault = EngineTimeout()
    turn.set_result(None)
    assert reason(await stream.answer(ref)) == "ENGINE_TIMEOUT"
    world.engine.fault = None
    world.engine.run_freely()
    assert [channel.pins for channel in world.hub.channels.values()] == [0] * len(world.hub.channels)


async def test_a_session_that_closes_while_it_opens_leaves_nothing_behind(world: EdgeWorld) -> None:
    world.engine.fill(INBOX, 1)
    world.engine.stepwise = True
    stream = world.attach()
    stream.send(1, open_session=an_opening())
    turn = await world.engine.next_read()
    stream.send(1, silent=True, close_session=pb.CloseSession())
    turn.set_result(None)
    world.engine.run_freely()
    await stream.settled()
    assert stream.kinds("canary_returned") == []
    assert not any(channel.in_use for channel in world.hub.channels.values())


async def test_an_inbox_that_never_had_a_message_is_not_looked_up(world: EdgeWorld) -> None:
    stream = world.attach()
    world.engine.stepwise = True
    opened = (await stream.answer(stream.send(1, open_session=an_opening()))).session_opened
    assert opened.inbox.offset == 0
    assert not opened.inbox_missed
    assert [channel.pins for channel in world.hub.channels.values()] == [0] * len(world.hub.channels)
    world.engine.say(INBOX)
    await stream.settled()
    assert [delivery.topic for delivery in stream.of("delivery")] == [INBOX]


async def test_closing_a_session_ends_its_memberships(world: EdgeWorld) -> None:
    stream = await world.session()
    await stream.join()
    stream.send(1, silent=True, close_session=pb.CloseSession())
    stream.send(9, silent=True, close_session=pb.CloseSession())
    world.engine.say(TOPIC)
    world.engine.say(INBOX)
    await stream.settled()
    assert stream.kinds("session_opened", "joined", "canary_returned") == []
    assert reason(await stream.publish()) == "ENGINE_UNAVAILABLE"


async def test_an_attempt_to_open_that_fails_late_does_not_end_the_session_that_another_opened(
    world: EdgeWorld,
) -> None:
    """The edge had no answer in time, gave up, and opens again under the same number, as its client asked once more."""
    stream = world.attach()
    world.engine.fill(INBOX, 2)
    world.engine.stepwise = True
    first = stream.send(1, open_session=an_opening(session_id="s-1", inbox=at(0)))
    turn = await world.engine.next_read()
    stream.send(1, silent=True, close_session=pb.CloseSession())
    second = stream.send(1, open_session=an_opening(session_id="s-2", inbox=at(0)))
    (await world.engine.next_read()).set_result(None)
    world.engine.run_freely()
    turn.set_exception(EngineTimeout())
    assert (await stream.answer(second)).HasField("session_opened")
    assert reason(await stream.answer(first)) == "ENGINE_TIMEOUT"
    assert (await stream.join()).position.offset == 0


async def test_an_attempt_to_open_that_fails_leaves_the_session_to_one_that_is_under_way(world: EdgeWorld) -> None:
    """The edge repeats the same opening before the first attempt has ended."""
    stream = world.attach()
    world.engine.fill(INBOX, 2)
    world.engine.stepwise = True
    first = stream.send(1, open_session=an_opening(session_id="s-1", inbox=at(0)))
    turn = await world.engine.next_read()
    second = stream.send(1, open_session=an_opening(session_id="s-1", inbox=at(0)))
    other = await world.engine.next_read()
    turn.set_exception(EngineTimeout())
    assert reason(await stream.answer(first)) == "ENGINE_TIMEOUT"
    other.set_result(None)
    world.engine.run_freely()
    assert (await stream.answer(second)).HasField("session_opened")
    assert (await stream.join()).position.offset == 0


# Joining.


async def test_a_join_is_in_force_from_its_offset(world: EdgeWorld) -> None:
    world.engine.fill(TOPIC, 3)
    stream = await world.session()
    joined = await stream.join()
    assert (place(joined.position), joined.recovered, list(joined.missed)) == (Position(EPOCH, 3), True, [])
    world.engine.say(TOPIC, 2)
    await stream.settled()
    assert stream.offsets() == [4, 5]


@pytest.mark.parametrize(
    ("how", "missed", "failure"),
    [
        ({"since": at(2)}, [3, 4, 5], 0),
        ({"since": at(5)}, [], 0),
        ({"since": at(0, "")}, [1, 2, 3, 4, 5], 0),
        ({"since": at(9)}, [1, 2, 3, 4, 5], CHANGED),
        ({"since": at(3, "e0")}, [1, 2, 3, 4, 5], CHANGED),
        ({"last": 2}, [4, 5], 0),
        ({"last": 0}, [], 0),
        ({"last": 99}, [1, 2, 3, 4, 5], 0),
    ],
)
async def test_a_join_with_its_past(world: EdgeWorld, how: dict[str, Any], missed: list[int], failure: int) -> None:
    world.engine.fill(TOPIC, 5)
    stream = await world.session()
    joined = await stream.join(**how)
    assert (offsets_of(joined.missed), joined.failure, joined.recovered) == (missed, failure, not failure)
    assert joined.position.offset == 5
    world.engine.say(TOPIC)
    await stream.settled()
    assert stream.offsets() == [6]


async def test_a_join_after_history_expired(world: EdgeWorld) -> None:
    world.engine.fill(TOPIC, 5)
    world.engine.topic(TOPIC).low = 3
    stream = await world.session()
    joined = await stream.join(since=at(1))
    assert (offsets_of(joined.missed), joined.failure, joined.recovered) == ([4, 5], EXPIRED, False)


async def test_a_join_from_the_last_acknowledged(world: EdgeWorld) -> None:
    world.engine.fill(TOPIC, 5)
    stream = await world.session()
    assert list((await stream.join(last_acked=pb.LastAcked())).missed) == []
    world.engine.say(TOPIC, 3)
    await stream.ask(1, leave=pb.Leave(topic=TOPIC))
    again = await stream.join(last_acked=pb.LastAcked())
    assert offsets_of(again.missed) == [6, 7, 8]
    stream.send(1, silent=True, acknowledge=pb.Acknowledge(topic=TOPIC, position=at(7)))
    await stream.ask(1, leave=pb.Leave(topic=TOPIC))
    assert offsets_of((await stream.join(last_acked=pb.LastAcked())).missed) == [8]


async def test_what_comes_while_the_past_is_read_is_seen_once(world: EdgeWorld) -> None:
    world.engine.fill(TOPIC, 5)
    stream = await world.session()
    world.engine.stepwise = True
    ref = stream.send(1, join=pb.Join(topic=TOPIC, since=at(0)))
    for _ in range(2):
        turn = await world.engine.next_read()
        world.engine.say(TOPIC, 2)
        turn.set_result(None)
    world.engine.run_freely()
    joined = (await stream.answer(ref)).joined
    world.engine.say(TOPIC)
    await stream.settled()
    assert offsets_of(joined.missed) + stream.offsets() == list(range(1, joined.position.offset + 2))


async def test_a_leave_behind_a_join_comes_behind_it(world: EdgeWorld) -> None:
    world.engine.fill(TOPIC, 2)
    stream = await world.session()
    world.engine.stepwise = True
    stream.send(1, join=pb.Join(topic=TOPIC, since=at(0)))
    left = stream.send(1, leave=pb.Leave(topic=TOPIC))
    turn = await world.engine.next_read()
    turn.set_result(None)
    world.engine.run_freely()
    await stream.answer(left)
    world.engine.say(TOPIC)
    await stream.settled()
    assert stream.kinds("canary_returned") == ["session_opened", "joined", "left"]


async def test_a_join_that_fails_lets_what_waits_go_on(world: EdgeWorld) -> None:
    world.engine.fill(TOPIC, 2)
    stream = await world.session()
    world.engine.stepwise = True
    failing = stream.send(1, join=pb.Join(topic=TOPIC, since=at(0)))
    behind = stream.send(1, join=pb.Join(topic=TOPIC))
    turn = await world.engine.next_read()
    turn.set_exception(EngineUnavailable())
    assert reason(await stream.answer(failing)) == "ENGINE_UNAVAILABLE"
    assert (await stream.answer(behind)).joined.position.offset == 2


async def test_a_session_that_closes_while_it_joins_is_no_member(world: EdgeWorld) -> None:
    world.engine.fill(TOPIC, 2)
    stream = await world.session()
    world.engine.stepwise = True
    stream.send(1, join=pb.Join(topic=TOPIC, since=at(0)))
    turn = await world.engine.next_read()
    stream.send(1, silent=True, close_session=pb.CloseSession())
    turn.set_result(None)
    world.engine.run_freely()
    await stream.settled()
    assert stream.of("joined") == []
    assert world.hub.channels[TOPIC].members() == []


@pytest.mark.parametrize("topic", [BROADCASTS, INBOX, inbox_topic("tests", "w1", "bob"), "nonsense", "tests/w1/a b"])
async def test_reserved_and_bad_names_cannot_be_joined(world: EdgeWorld, topic: str) -> None:
    stream = await world.session()
    assert reason(await stream.ask(1, join=pb.Join(topic=topic))) == "INVALID_FIELD"


async def test_a_join_of_no_session_is_refused(world: EdgeWorld) -> None:
    stream = world.attach()
    assert reason(await stream.ask(7, join=pb.Join(topic=TOPIC))) == "ENGINE_UNAVAILABLE"


async def test_an_engine_that_is_away_fails_a_join_and_the_next_may_succeed(world: EdgeWorld) -> None:
    stream = await world.session()
    world.engine.fault = EngineUnavailable()
    failed = await stream.ask(1, join=pb.Join(topic=TOPIC))
    assert (reason(failed), failed.failed.safe_to_repeat) == ("ENGINE_UNAVAILABLE", True)
    world.engine.fault = None
    await stream.join()


async def test_too_many_channels_are_refused() -> None:
    async with EdgeWorld(max_channels=3) as world:
        stream = await world.session()
        await stream.join()
        assert reason(await stream.ask(1, join=pb.Join(topic="tests/w1/one-more"))) == "LIMIT_EXCEEDED"


async def test_a_full_channel_takes_no_more_clients() -> None:
    async with EdgeWorld(max_members=2) as world:
        stream = await world.session()
        for number, client_id in enumerate(("alice", "bob", "carol", "alice"), start=1):
            await stream.open(number, client_id)
        await stream.join(1)
        await stream.join(2)
        refused = await stream.ask(3, join=pb.Join(topic=TOPIC))
        assert (reason(refused), refused.failed.safe_to_repeat) == ("CHANNEL_LIMIT", True)
        assert "at most 2 members" in refused.failed.message
        await stream.join(4)  # a client that is in already, by another session
        world.engine.say(TOPIC)
        await stream.settled()
        assert stream.offsets() == [1]
        await stream.ask(2, leave=pb.Leave(topic=TOPIC))
        await stream.join(3)


async def test_members_that_come_back_with_their_edge_stay_in_a_channel_that_is_full() -> None:
    async with EdgeWorld(max_members=1) as world:
        one, other = await world.session("edge-1", "alice"), await world.session("edge-2", "bob")
        await one.join()
        await one.end()
        assert reason(await other.ask(1, join=pb.Join(topic=TOPIC))) == "CHANNEL_LIMIT"
        back = await world.session("edge-1", "alice")
        joined = pb.Resubscribe(topic=TOPIC, position=at(0), sessions=[1])
        back.send(resubscribe=joined, silent=True)
        await back.settled()
        assert [member.client_id for member in await world.queries.members(TOPIC)] == ["alice"]


async def test_more_members_than_one_answer_can_list_are_not_listed(world: EdgeWorld) -> None:
    stream = await world.session()
    await stream.join()
    (alice,) = await world.queries.members(TOPIC)
    names = [f"{number:064}" for number in range(MAX_LISTED)]
    world.cluster.members = AsyncMembers([alice._replace(client_id=name) for name in names])  # type: ignore[method-assign]
    listed = await stream.ask(1, read_presence=pb.ReadPresence(topic=TOPIC))
    assert len(listed.presence.members) == MAX_LISTED
    assert listed.ByteSize() < MAX_MESSAGE_BYTES
    world.cluster.members.found.append(alice)  # type: ignore[attr-defined]
    refused = await stream.ask(1, read_presence=pb.ReadPresence(topic=TOPIC))
    assert (reason(refused), refused.failed.safe_to_repeat) == ("CHANNEL_LIMIT", True)


class AsyncMembers:
    """As many members as a test says."""

    def __init__(self, found: list[Member]) -> None:
        self.found = found

    async def __call__(self, topic: str) -> list[Member]:
        return self.found


async def test_after_leaving_nothing_of_the_channel_comes(world: EdgeWorld) -> None:
    stream = await world.session()
    await stream.join()
    world.engine.say(TOPIC)
    assert (await stream.ask(1, leave=pb.Leave(topic=TOPIC))).left.topic == TOPIC
    world.engine.say(TOPIC)
    await stream.settled()
    assert stream.offsets() == [1]
    assert (await stream.ask(1, leave=pb.Leave(topic=TOPIC))).left.topic == TOPIC


# Presence.


async def test_watchers_are_told_who_comes_and_goes(world: EdgeWorld) -> None:
    """Their own coming is told before their join is answered, so that their edge tells it to the others only."""
    watcher = await world.session("edge-1", "alice")
    other = await world.session("edge-2", "bob")
    await watcher.join(presence=True)
    await other.join()
    await other.open(2, "bob")
    await other.join(2)
    await other.ask(1, leave=pb.Leave(topic=TOPIC))
    await other.ask(2, leave=pb.Leave(topic=TOPIC))
    await watcher.settled()
    changes = [(change.member.client_id, change.joined) for change in watcher.of("presence_changed")]
    assert changes == [("alice", True), ("bob", True), ("bob", False)]
    assert watcher.kinds("session_opened", "canary_returned")[:2] == ["presence_changed", "joined"]
    assert other.of("presence_changed") == []


async def test_an_edge_that_does_not_come_back_takes_its_members_with_it() -> None:
    async with EdgeWorld(grace_s=0.01) as world:
        watcher = await world.session("edge-1", "alice")
        other = await world.session("edge-2", "bob")
        await watcher.join(presence=True)
        await other.join()
        await other.end()
        while len(watcher.of("presence_changed")) < 3:
            await watcher.settled()
        changes = [(change.member.client_id, change.joined) for change in watcher.of("presence_changed")]
        assert changes == [("alice", True), ("bob", True), ("bob", False)]
        assert set(world.hub.edges) == {"edge-1"}


async def test_an_edge_that_comes_back_in_time_keeps_them(world: EdgeWorld) -> None:
    first = await world.session()
    await first.join()
    await first.end()
    assert [member.client_id for member in world.hub.channels[TOPIC].members()] == ["alice"]
    again = world.attach()
    assert again.edge is first.edge


# Publishing.


async def test_a_message_is_delivered_before_it_is_confirmed(world: EdgeWorld) -> None:
    stream = await world.session()
    await stream.join()
    event = await stream.publish(id="m-1", data=b'{"a":1}')
    published = event.published
    assert (published.id, place(published.position), published.duplicate) == ("m-1", Position(EPOCH, 1), False)
    assert event.session == 1
    assert stream.kinds()[-2:] == ["delivery", "published"]
    (delivery,) = stream.of("delivery")
    assert (delivery.id, delivery.client_id, delivery.data, delivery.type) == (
        "m-1",
        "alice",
        b'{"a":1}',
        "chat_message",
    )


async def test_the_same_id_again_is_confirmed_again_and_delivered_once(world: EdgeWorld) -> None:
    stream = await world.session()
    await stream.join()
    first, second = await stream.publish(id="m-1"), await stream.publish(id="m-1")
    assert second.published.duplicate
    assert second.published.position == first.published.position
    assert stream.offsets() == [1]


async def test_a_message_without_an_id_gets_one(world: EdgeWorld) -> None:
    stream = await world.session()
    event = await stream.publish()
    assert event.published.id


async def test_members_of_every_edge_get_a_message_once(world: EdgeWorld) -> None:
    streams = [await world.session(f"edge-{number}", f"client-{number}") for number in range(3)]
    for stream in streams:
        await stream.open(2, "carol")
        await stream.join(1)
        await stream.join(2)
    await streams[0].publish()
    for stream in streams:
        await stream.settled()
        assert stream.offsets() == [1]


@pytest.mark.parametrize(
    ("topic", "values"),
    [
        (TOPIC, {"type": "direct_message"}),
        (TOPIC, {"type": "unknown"}),
        (INBOX, {"type": "chat_message"}),
        (BROADCASTS, {"type": "chat_message"}),
        (TOPIC, {"id": "x" * 65}),
        (TOPIC, {"thread_id": "a b"}),
        ("nonsense", {}),
    ],
)
async def test_bad_messages_are_refused(world: EdgeWorld, topic: str, values: dict[str, str]) -> None:
    stream = await world.session()
    assert reason(await stream.publish(1, topic, **values)) == "INVALID_FIELD"


async def test_messages_that_are_too_large_are_refused(world: EdgeWorld) -> None:
    stream = await world.session()
    assert reason(await stream.publish(data=b"x" * 1001)) == "LIMIT_EXCEEDED"


async def test_direct_messages_and_broadcasts(world: EdgeWorld) -> None:
    alice, bob = await world.session("edge-1", "alice"), await world.session("edge-2", "bob")
    await bob.publish(1, INBOX, type="direct_message")
    await bob.publish(1, BROADCASTS, type="broadcast")
    for stream in (alice, bob):
        await stream.settled()
    assert (alice.offsets(INBOX), alice.offsets(BROADCASTS)) == ([1], [1])
    assert (bob.offsets(INBOX), bob.offsets(BROADCASTS)) == ([], [1])


@pytest.mark.parametrize(
    ("fault", "named", "safe"),
    [(EngineUnavailable(), "ENGINE_UNAVAILABLE", True), (EngineTimeout(), "ENGINE_TIMEOUT", False)],
)
async def test_what_was_not_stored_is_not_confirmed(
    world: EdgeWorld, fault: EngineUnavailable, named: str, safe: bool
) -> None:
    stream = await world.session()
    world.engine.fault = fault
    event = await stream.publish()
    assert (reason(event), event.failed.safe_to_repeat) == (named, safe)


# Acknowledging, and reading.


@pytest.mark.parametrize(
    ("position", "expected"),
    [(at(2), 2), (at(2, ""), 2), (at(3), 3), (at(4), None), (at(0), None), (at(2, "e0"), None)],
)
async def test_only_what_a_member_can_have_seen_is_acknowledged(
    world: EdgeWorld, position: message_pb2.Position, expected: int | None
) -> None:
    world.engine.fill(TOPIC, 3)
    stream = await world.session()
    stream.send(1, silent=True, acknowledge=pb.Acknowledge(topic=TOPIC, position=at(1)))
    assert await world.engine.acknowledged(TOPIC, "alice") is None
    await stream.join()
    stream.send(1, silent=True, acknowledge=pb.Acknowledge(topic=TOPIC, position=position))
    found = await world.engine.acknowledged(TOPIC, "alice")
    assert (found and found.offset) == expected


async def test_history_presence_and_receipts(world: EdgeWorld) -> None:
    stream = await world.session()
    await stream.join()
    for _ in range(3):
        await stream.publish()
    history = (await stream.ask(1, read_history=pb.ReadHistory(topic=TOPIC, since=at(1)))).history
    assert (offsets_of(history.messages), history.more, place(history.newest)) == ([2, 3], False, Position(EPOCH, 3))
    presence = (await stream.ask(1, read_presence=pb.ReadPresence(topic=TOPIC))).presence
    assert [member.client_id for member in presence.members] == ["alice"]
    stream.send(1, silent=True, acknowledge=pb.Acknowledge(topic=TOPIC, position=at(2)))
    receipt = (await stream.ask(1, read_receipt=pb.ReadReceipt(topic=TOPIC, offset=2))).receipt
    assert (receipt.written, receipt.acknowledged) == (1, 1)
    beyond = (await stream.ask(1, read_receipt=pb.ReadReceipt(topic=TOPIC, offset=9))).receipt
    assert (beyond.written, beyond.acknowledged) == (0, 0)


@pytest.mark.parametrize(
    "command",
    [
        {"read_history": pb.ReadHistory(topic="nonsense")},
        {"read_history": pb.ReadHistory(topic=TOPIC, limit=1001)},
        {"read_presence": pb.ReadPresence(topic=INBOX)},
        {"read_receipt": pb.ReadReceipt(topic=TOPIC, offset=0)},
        {"hello": pb.Hello(edge_id="again")},
        {},
    ],
)
async def test_bad_questions_are_refused(world: EdgeWorld, command: dict[str, Any]) -> None:
    stream = await world.session()
    assert reason(await stream.ask(1, **command)) == "INVALID_FIELD"


async def test_a_defect_fails_one_command_and_nothing_else(world: EdgeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = await world.session()

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(world.publisher, "publish", broken)
        assert reason(await stream.publish()) == "INTERNAL"
        patched.setattr(world.engine, "last", broken)
        assert reason(await stream.ask(1, read_history=pb.ReadHistory(topic=TOPIC))) == "INTERNAL"
    assert (await stream.publish()).HasField("published")


async def test_canaries_return_through_the_engine_or_fail(world: EdgeWorld) -> None:
    stream = world.attach()
    assert (await stream.ask(send_canary=pb.SendCanary(nonce="n-1"))).canary_returned.nonce == "n-1"
    world.engine.fault = EngineUnavailable()
    assert reason(await stream.ask(send_canary=pb.SendCanary(nonce="n-2"))) == "ENGINE_UNAVAILABLE"


async def test_a_client_can_be_disconnected_wherever_it_is(world: EdgeWorld) -> None:
    first, second = await world.session("edge-1"), await world.session("edge-2")
    order = DisconnectOrder("tests", "w1", "alice", "because", True)
    assert await world.cluster.disconnect(order) == 2
    for stream in (first, second):
        await stream.settled()
        (request,) = stream.of("disconnect_session")
        assert (request.reason, request.reconnect) == ("because", True)
    assert await world.cluster.disconnect(order._replace(client_id="nobody")) == 0


# Coming back.


async def replayed(stream: Any, *resubscriptions: pb.Resubscribe) -> None:
    """Name everything again, as an edge does after a reconnect, and wait until it is in force."""
    await stream.open(1)
    for resubscription in resubscriptions:
        stream.send(silent=True, resubscribe=resubscription)
    assert (await stream.ask(replay_done=pb.ReplayDone())).HasField("replay_completed")


async def test_an_edge_that_came_back_gets_what_it_missed_and_goes_on(world: EdgeWorld) -> None:
    first = await world.session()
    await first.join()
    world.engine.say(TOPIC, 2)
    await first.settled()
    await first.end()
    world.engine.say(TOPIC, 3)
    again = world.attach()
    await replayed(again, pb.Resubscribe(topic=TOPIC, position=at(2), sessions=[1]))
    world.engine.say(TOPIC)
    await again.settled()
    (answer,) = again.of("resubscribed")
    assert (place(answer.position), answer.recovered) == (Position(EPOCH, 2), True)
    assert again.offsets() == [3, 4, 5, 6]
    kinds = again.kinds("session_opened", "canary_returned")
    assert kinds == ["resubscribed", "delivery", "delivery", "delivery", "replay_completed", "delivery"]


async def test_an_edge_of_a_service_that_crashed_gets_what_it_missed(world: EdgeWorld) -> None:
    world.engine.fill(TOPIC, 20)
    stream = world.attach()
    await replayed(stream, pb.Resubscribe(topic=TOPIC, position=at(5), sessions=[1], presence_sessions=[1]))
    world.engine.say(TOPIC)
    await stream.settled()
    assert stream.offsets() == list(range(6, 22))
    assert [member.client_id for member in world.hub.channels[TOPIC].members()] == ["alice"]


async def test_what_comes_while_the_missed_is_read_is_seen_once() -> None:
    async with EdgeWorld(ring=2) as world:
        world.engine.fill(TOPIC, 5)
        stream = await world.session()
        world.engine.stepwise = True
        stream.send(resubscribe=pb.Resubscribe(topic=TOPIC, position=at(0), sessions=[1]))
        for _ in range(2):
            turn = await world.engine.next_read()
            world.engine.say(TOPIC, 5)
            turn.set_result(None)
        world.engine.run_freely()
        while len(stream.offsets()) < 15:
            await stream.settled()
        world.engine.say(TOPIC)
        await stream.settled()
        assert stream.offsets() == list(range(1, 17))


@pytest.mark.parametrize(
    ("position", "start", "failure"),
    [(at(1), 3, EXPIRED), (at(4, "e0"), 3, CHANGED), (at(99), 3, CHANGED), (at(4), 4, 0)],
)
async def test_what_cannot_be_given_is_said(
    world: EdgeWorld, position: message_pb2.Position, start: int, failure: int
) -> None:
    world.engine.fill(TOPIC, 6)
    world.engine.topic(TOPIC).low = 3
    stream = world.attach()
    await replayed(stream, pb.Resubscribe(topic=TOPIC, position=position, sessions=[1]))
    (answer,) = stream.of("resubscribed")
    assert (place(answer.position), answer.failure) == (Position(EPOCH, start), failure)
    assert stream.offsets() == list(range(start + 1, 7))


async def test_what_was_not_named_again_is_gone(world: EdgeWorld) -> None:
    watcher = await world.session("edge-2", "watcher")
    first = await world.session()
    await first.open(2, "bob")
    for number in (1, 2):
        await first.join(number)
    await first.join(1, "tests/w1/tasks")
    await watcher.join(1, presence=True)
    await watcher.join(1, "tests/w1/tasks", presence=True)
    await first.end()
    again = world.attach()
    await replayed(again, pb.Resubscribe(topic=TOPIC, position=at(0), sessions=[1]))
    await watcher.settled()
    gone = {(change.topic, change.member.client_id) for change in watcher.of("presence_changed") if not change.joined}
    assert gone == {(TOPIC, "bob"), ("tests/w1/tasks", "alice")}
    assert {member.client_id for member in world.hub.channels[TOPIC].members()} == {"alice", "watcher"}


async def test_a_gap_that_an_edge_found_is_filled_for_all_its_members(world: EdgeWorld) -> None:
    stream = await world.session()
    await stream.open(2, "bob")
    for number in (1, 2):
        await stream.join(number)
    world.engine.say(TOPIC, 4)
    await stream.ask(resubscribe=pb.Resubscribe(topic=TOPIC, position=at(2), sessions=[1, 2]))
    world.engine.say(TOPIC)
    await stream.settled()
    assert stream.offsets() == [1, 2, 3, 4, 3, 4, 5]


async def test_joins_wait_for_a_resubscription_of_their_channel(world: EdgeWorld) -> None:
    """Else a joiner would be given as live what is replayed to the others."""
    world.engine.fill(TOPIC, 4)
    stream = await world.session()
    await stream.open(2, "bob")
    world.engine.stepwise = True
    stream.send(resubscribe=pb.Resubscribe(topic=TOPIC, position=at(1), sessions=[1]))
    turn = await world.engine.next_read()
    ref = stream.send(2, join=pb.Join(topic=TOPIC))
    world.engine.say(TOPIC)
    turn.set_result(None)
    world.engine.run_freely()
    joined = (await stream.answer(ref)).joined
    assert joined.position.offset == 5
    world.engine.say(TOPIC)
    await stream.settled()
    assert stream.offsets() == [2, 3, 4, 5, 6]
    kinds = stream.kinds("session_opened", "canary_returned")
    assert kinds == ["resubscribed", *["delivery"] * 4, "joined", "delivery"]


async def test_joins_wait_for_a_resubscription_that_is_tried_again(
    world: EdgeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else who joins would be sent what the others of the edge have missed."""
    monkeypatch.setattr("session_service.adapters.edge_stream.resubscription.RETRY_S", 0.05)
    world.engine.fill(TOPIC, 4)
    stream = await world.session()
    await stream.open(2, "bob")
    world.engine.stepwise = True
    stream.send(silent=True, resubscribe=pb.Resubscribe(topic=TOPIC, position=at(1), sessions=[1]))
    turn = await world.engine.next_read()
    world.engine.run_freely()
    turn.set_exception(EngineTimeout())
    while world.metrics.failed.value == 0:
        await stream.settled()
    joined = stream.send(2, join=pb.Join(topic=TOPIC))
    assert (await stream.answer(joined)).joined.position.offset == 4
    assert stream.kinds("session_opened", "canary_returned") == ["resubscribed", *["delivery"] * 3, "joined"]


async def test_two_resubscriptions_of_a_channel_come_one_after_the_other(world: EdgeWorld) -> None:
    world.engine.fill(TOPIC, 4)
    stream = await world.session()
    refs = [
        stream.send(resubscribe=pb.Resubscribe(topic=TOPIC, position=at(offset), sessions=[1])) for offset in (2, 3)
    ]
    for ref in refs:
        await stream.answer(ref)
    world.engine.say(TOPIC)
    await stream.settled()
    assert stream.offsets() == [3, 4, 4, 5]


async def test_a_second_stream_of_an_edge_takes_over(world: EdgeWorld) -> None:
    first = await world.session()
    await first.join()
    second = world.attach()
    await first.end()
    await replayed(second, pb.Resubscribe(topic=TOPIC, position=at(0), sessions=[1]))
    world.engine.say(TOPIC)
    await second.settled()
    assert second.offsets() == [1]
    assert first.offsets() == []
    assert world.hub.edges["edge-1"].outlet is second.outbox


async def test_a_resubscription_with_a_bad_name_is_refused(world: EdgeWorld) -> None:
    stream = world.attach()
    assert reason(await stream.ask(resubscribe=pb.Resubscribe(topic="nonsense"))) == "INVALID_FIELD"


async def test_publishes_of_others_are_not_lost_to_a_stream_that_ends(world: EdgeWorld) -> None:
    stream = await world.session()
    stream.send(1, publish=pb.Publish(topic=TOPIC, type="chat_message", id="m-1", data=b"{}"))
    await stream.end()
    stored: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    world.engine.append(NewMessage(TOPIC, "chat_message", "m-1", "alice", b"{}"), stored.set_result)
    assert (await stored).duplicate


@pytest.mark.parametrize("low", [4, 6])
async def test_history_that_is_trimmed_while_it_is_replayed_is_said(world: EdgeWorld, low: int) -> None:
    world.engine.fill(TOPIC, 6)
    stream = await world.session()
    world.engine.stepwise = True
    stream.send(resubscribe=pb.Resubscribe(topic=TOPIC, position=at(1), sessions=[1]))
    (await world.engine.next_read()).set_result(None)
    turn = await world.engine.next_read()
    world.engine.topic(TOPIC).low = low
    turn.set_result(None)
    world.engine.run_freely()
    while not [answer for answer in stream.of("resubscribed") if not answer.recovered]:
        await stream.settled()
    world.engine.say(TOPIC)
    await stream.settled()
    told = [(place(answer.position), answer.failure) for answer in stream.of("resubscribed")]
    assert told == [(Position(EPOCH, 1), 0), (Position(EPOCH, low), EXPIRED)]
    assert stream.offsets() == list(range(low + 1, 8))


@pytest.mark.parametrize(("kept", "failure"), [(6, 0), (2, CHANGED)])
async def test_a_channel_that_is_renewed_while_it_is_replayed_goes_on_behind_what_is_shared(
    world: EdgeWorld, monkeypatch: pytest.MonkeyPatch, kept: int, failure: int
) -> None:
    """The edge was sent up to offset 3 of the old epoch: nothing is sent twice, and what was lost of it is said."""
    monkeypatch.setattr("session_service.adapters.replay.PAGE_MESSAGES", 2)
    world.engine.fill(TOPIC, 6)
    stream = await world.session()
    world.engine.stepwise = True
    stream.send(resubscribe=pb.Resubscribe(topic=TOPIC, position=at(1), sessions=[1]))
    (await world.engine.next_read()).set_result(None)
    (await world.engine.next_read()).set_result(None)
    turn = await world.engine.next_read()
    world.engine.renew(TOPIC, "e2", kept)
    world.live.on_renewed(TOPIC, Position("e2", kept), lossless=kept >= 3)
    turn.set_result(None)
    world.engine.run_freely()
    while len(stream.of("resubscribed")) < 2:
        await stream.settled()
    world.engine.say(TOPIC)
    await stream.settled()
    told = [(place(answer.position), answer.failure) for answer in stream.of("resubscribed")]
    assert told == [(Position(EPOCH, 1), 0), (Position("e2", min(kept, 3)), failure)]
    given = [(message.epoch, message.offset) for message in stream.of("delivery")]
    assert given[:2] == [(EPOCH, 2), (EPOCH, 3)]
    assert given[2:] == [("e2", offset) for offset in range(min(kept, 3) + 1, kept + 2)]


async def test_a_resubscription_that_fails_is_tried_again_until_it_succeeds(
    world: EdgeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("session_service.adapters.edge_stream.resubscription.RETRY_S", 0.001)
    world.engine.fill(TOPIC, 4)
    stream = await world.session()
    world.engine.fault = EngineUnavailable()
    stream.send(silent=True, resubscribe=pb.Resubscribe(topic=TOPIC, position=at(1), sessions=[1]))
    done = stream.send(replay_done=pb.ReplayDone())
    await stream.answer(done)
    world.engine.fault = None
    while not stream.of("resubscribed"):
        await stream.settled()
    world.engine.say(TOPIC)
    await stream.settled()
    assert stream.offsets() == [2, 3, 4, 5]


async def test_a_read_that_fails_in_a_resubscription_is_tried_again(
    world: EdgeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("session_service.adapters.edge_stream.resubscription.RETRY_S", 0.001)
    world.engine.fill(TOPIC, 4)
    stream = await world.session()
    world.engine.stepwise = True
    stream.send(silent=True, resubscribe=pb.Resubscribe(topic=TOPIC, position=at(1), sessions=[1]))
    turn = await world.engine.next_read()
    world.engine.run_freely()
    turn.set_exception(EngineTimeout())
    while not stream.offsets():
        await stream.settled()
    world.engine.say(TOPIC)
    await stream.settled()
    assert stream.offsets() == [2, 3, 4, 5]


async def test_too_many_commands_at_once_are_refused(world: EdgeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("session_service.adapters.edge_stream.tasks.MAX_TASKS", 2)
    world.engine.fill(inbox_topic("tests", "w1", "bob"), 1)
    stream = await world.session()
    world.engine.stepwise = True
    questions = [stream.send(1, read_history=pb.ReadHistory(topic=TOPIC)) for _ in range(2)]
    turns = [await world.engine.next_read() for _ in range(2)]
    assert reason(await stream.ask(1, read_history=pb.ReadHistory(topic=TOPIC))) == "LIMIT_EXCEEDED"
    assert reason(await stream.ask(1, join=pb.Join(topic=TOPIC, since=at(0)))) == "LIMIT_EXCEEDED"
    assert reason(await stream.ask(2, open_session=an_opening("bob"))) == "LIMIT_EXCEEDED"
    assert set(stream.edge.sessions) == {1}
    for turn in turns:
        turn.set_result(None)
    world.engine.run_freely()
    for question in questions:
        assert (await stream.answer(question)).HasField("history")
    await stream.join(1, since=at(0))
    assert [channel.pins for channel in world.hub.channels.values()] == [0] * len(world.hub.channels)


async def test_a_session_that_lives_already_is_opened_again_until_the_store_takes_it(
    world: EdgeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reconnect of the edge, while the store is away: its members hear everything when the store is back."""
    monkeypatch.setattr("session_service.adapters.edge_stream.resubscription.RETRY_S", 0.001)
    monkeypatch.setattr("session_service.adapters.edge_stream.opening.RETRY_S", 0.001)
    world.engine.fill(TOPIC, 4)
    stream = world.attach()
    world.engine.fault = EngineUnavailable()
    stream.send(1, silent=True, open_session=an_opening("alice"))
    stream.send(silent=True, resubscribe=pb.Resubscribe(topic=TOPIC, position=at(1), sessions=[1]))
    await stream.answer(stream.send(replay_done=pb.ReplayDone()))
    assert set(stream.edge.sessions) == {1}
    world.engine.fault = None
    while not stream.offsets():
        await stream.settled()
    world.engine.say(TOPIC)
    await stream.settled()
    assert stream.offsets() == [2, 3, 4, 5]
    (session,) = stream.edge.sessions.values()
    while len(session.topics) < 3:
        await stream.settled()
