"""What the session service could not do for now is repeated: how often, in which order, and for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import message_pb2

from tests.unit.ws_edge.command_world import ALICE, BOB, TIMEOUT, UNAVAILABLE, World, turns
from ws_edge.core.ports import Failed, FailureKind, Published, SessionFacts


@pytest.mark.parametrize("reason", [UNAVAILABLE, TIMEOUT, message_pb2.ERROR_REASON_DRAINING])
async def test_a_publish_that_fails_for_now_is_repeated_as_it_was(reason: int) -> None:
    world = World()
    world.publish("m-1")
    (first,) = await world.sent()
    world.fail(first.ref, reason=reason)
    (again,) = await world.sent()
    assert again == first
    assert not world.answers
    world.store(again.ref)
    assert isinstance(world.answers["m-1"], Published)
    assert (world.stats.retries, len(world.queue)) == (1, 0)


ASKED: dict[str, Callable[[World], Any]] = {
    "join": lambda w: w.commands.join(ALICE, "d/w/room", w.answered("it")),
    "leave": lambda w: w.commands.leave(ALICE, "d/w/room", w.answered("it")),
    "read_history": lambda w: w.commands.read_history(ALICE, "d/w/room", w.answered("it"), since=None, limit=1),
    "read_presence": lambda w: w.commands.read_presence(ALICE, "d/w/room", w.answered("it")),
    "read_receipt": lambda w: w.commands.read_receipt(ALICE, "d/w/room", 1, w.answered("it")),
}


@pytest.mark.parametrize("kind", ASKED)
async def test_whatever_wants_an_answer_is_repeated(kind: str) -> None:
    world = World()
    ASKED[kind](world)
    for _ in range(3):
        (command,) = await world.sent()
        assert command.WhichOneof("command") == kind
        world.fail(command.ref)
    assert not world.answers
    assert world.stats.retries == 2


async def test_the_opening_of_a_session_is_repeated() -> None:
    world = World()
    who = SessionFacts(ALICE, "s", "alice", "d", "w", "chat", "k1")
    opening = asyncio.create_task(world.commands.open(who, world.answered("it"), broadcasts=None, inbox=None))
    (command,) = await world.sent()
    world.fail(command.ref)
    (again,) = await world.sent()
    assert again == command
    world.queue.answer(pb.Event(ref=again.ref, session_opened=pb.SessionOpened()), "session_opened")
    await opening
    assert world.told == ["it"]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (message_pb2.ERROR_REASON_LIMIT_EXCEEDED, FailureKind.LIMIT),
        (message_pb2.ERROR_REASON_CHANNEL_LIMIT, FailureKind.CHANNEL_LIMIT),
        (message_pb2.ERROR_REASON_INVALID_FIELD, FailureKind.INVALID),
        (message_pb2.ERROR_REASON_INTERNAL, FailureKind.INTERNAL),
    ],
)
async def test_what_does_not_pass_is_told_at_once(reason: int, kind: FailureKind) -> None:
    world = World()
    world.publish("m-1")
    (command,) = await world.sent()
    world.fail(command.ref, reason=reason)
    assert world.failure("m-1").kind is kind
    assert (world.stats.retries, len(world.queue), world.rounds) == (0, 0, [])


async def test_each_repeat_waits_longer_until_the_lane_works_again() -> None:
    world = World()
    world.publish("m-1")
    for _ in range(3):
        ((ref, _),) = await world.published()
        world.fail(ref)
    ((ref, _),) = await world.published()
    world.store(ref)
    world.publish("m-2")
    ((ref, _),) = await world.published()
    world.fail(ref)
    assert world.rounds == [0, 1, 2, 0]


# Order.


async def test_later_publishes_to_the_topic_go_behind_the_repeat() -> None:
    world = World()
    world.publish("m-1")
    ((first, _),) = await world.published()
    world.fail(first)
    world.publish("m-2")
    world.publish("m-3", number=BOB)
    assert world.nothing_is_sent()
    assert [name for _, name in await world.published()] == ["m-1", "m-2", "m-3"]
    assert (world.stats.retries, world.stats.held_commands) == (1, 2)


async def test_other_topics_are_not_held() -> None:
    world = World()
    world.publish("m-1")
    ((first, _),) = await world.published()
    world.fail(first)
    world.publish("m-2", "d/w/other")
    assert [name for _, name in await world.published()] == ["m-2"]
    assert [name for _, name in await world.published()] == ["m-1"]


async def test_a_repeat_waits_for_what_is_under_way_and_goes_in_order() -> None:
    world = World()
    for name in ("m-1", "m-2", "m-3"):
        world.publish(name)
    refs = [ref for ref, _ in await world.published()]
    world.fail(refs[1])
    world.fail(refs[0])
    world.publish("m-4")
    await turns()
    assert world.nothing_is_sent(), "m-3 may still be stored: what failed before it must not be sent behind it unseen"
    world.fail(refs[2])
    assert [name for _, name in await world.published()] == ["m-1", "m-2", "m-3", "m-4"]


async def test_what_comes_during_a_repeat_waits_for_its_answer() -> None:
    world = World()
    world.publish("m-1")
    ((ref, _),) = await world.published()
    world.fail(ref)
    await world.published()
    world.publish("m-2")
    await turns()
    assert world.nothing_is_sent()
    world.store(ref)
    assert [name for _, name in await world.published()] == ["m-2"]
    world.publish("m-3")
    assert [name for _, name in await world.published()] == ["m-3"]
    assert world.rounds == [0]


async def test_a_message_that_was_overtaken_is_given_up() -> None:
    world = World()
    for name, number in (("m-1", ALICE), ("m-2", BOB), ("m-3", ALICE)):
        world.publish(name, number=number)
    refs = [ref for ref, _ in await world.published()]
    world.fail(refs[0], refs[1])
    world.store(refs[2])
    assert world.told == ["m-1", "m-3"]
    assert world.failure("m-1") == Failed(FailureKind.UNAVAILABLE, "for now", True)
    assert [name for _, name in await world.published()] == ["m-2"]
    assert world.stats.overtaken_commands == 1


async def test_a_leave_goes_behind_the_join_that_is_repeated() -> None:
    world = World()
    world.commands.join(ALICE, "d/w/room", world.answered("join"))
    (join,) = await world.sent()
    world.fail(join.ref)
    world.commands.leave(ALICE, "d/w/room", world.answered("leave"))
    world.commands.join(BOB, "d/w/room", world.answered("other"))
    assert [command.session for command in await world.sent()] == [BOB]
    assert [command.WhichOneof("command") for command in await world.sent()] == ["join", "leave"]


async def test_a_join_is_given_up_when_the_leave_behind_it_is_done() -> None:
    world = World()
    world.commands.join(ALICE, "d/w/room", world.answered("join"))
    world.commands.leave(ALICE, "d/w/room", world.answered("leave"))
    join, leave = await world.sent()
    world.fail(join.ref)
    world.queue.answer(pb.Event(ref=leave.ref, left=pb.Left()), "left")
    assert world.told == ["join", "leave"]
    assert isinstance(world.answers["join"], Failed)
    await turns()
    assert world.nothing_is_sent()


# Connections that close.


async def test_a_join_of_a_connection_that_closed_is_not_repeated() -> None:
    world = World()
    world.commands.join(ALICE, "d/w/room", world.answered("join"))
    (join,) = await world.sent()
    world.fail(join.ref)
    world.open.discard(ALICE)
    world.commands.close(ALICE)
    assert [command.WhichOneof("command") for command in await world.sent()] == ["close_session"]
    await turns()
    assert world.nothing_is_sent()
    assert world.told == ["join"]


async def test_what_fails_after_its_connection_closed_is_not_repeated() -> None:
    world = World()
    world.publish("m-1")
    ((ref, _),) = await world.published()
    world.open.discard(ALICE)
    world.commands.close(ALICE)
    await world.sent()
    world.fail(ref)
    assert world.told == ["m-1"]


async def test_a_publish_that_was_taken_is_repeated_before_its_session_ends() -> None:
    world = World()
    world.publish("m-1")
    world.publish("m-2")
    refs = [ref for ref, _ in await world.published()]
    world.fail(*refs)
    world.open.discard(ALICE)
    world.commands.close(ALICE)
    assert world.nothing_is_sent()
    assert [name for _, name in await world.published()] == ["m-1", "m-2"]
    world.store(refs[0])
    assert world.nothing_is_sent()
    world.store(refs[1])
    assert [command.WhichOneof("command") for command in await world.sent()] == ["close_session"]


async def test_a_session_ends_at_the_latest_when_its_messages_time_is_over() -> None:
    world = World(deadline_s=0)
    world.publish("m-1")
    ((ref, _),) = await world.published()
    world.fail(ref)
    world.open.discard(ALICE)
    world.commands.close(ALICE)
    world.queue.expire()
    assert [command.WhichOneof("command") for command in await world.sent()] == ["close_session"]


async def test_a_session_without_messages_ends_at_once() -> None:
    world = World()
    world.publish("m-1")
    ((ref, _),) = await world.published()
    world.fail(ref)
    world.commands.close(BOB)
    assert [command.session for command in await world.sent()] == [BOB]


async def test_a_session_ends_when_nothing_is_repeated_any_more() -> None:
    world = World()
    world.publish("m-1", "d/w/room", number=BOB)
    world.publish("m-2", "d/w/other")
    (bobs, _), (alices, _) = await world.published()
    world.fail(bobs)
    world.commands.close(ALICE)
    await world.published()
    world.store(bobs)
    assert [command.WhichOneof("command") for command in await world.sent()] == ["close_session"]
    world.store(alices)
    assert isinstance(world.answers["m-2"], Published)
