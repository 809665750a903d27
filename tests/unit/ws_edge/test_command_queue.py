"""What becomes of commands: answers, deadlines, new streams, and what the final error says of repeating."""

from __future__ import annotations

from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import message_pb2

from tests.unit.ws_edge.command_world import ALICE, BOB, TIMEOUT, UNAVAILABLE, World, turns
from ws_edge.core.ports import Answer, Failed, FailureKind, Joined, Position

# The deadline, and what the final error says.


async def test_at_the_deadline_the_last_failure_is_told() -> None:
    world = World(deadline_s=0)
    world.publish("m-1")
    ((ref, _),) = await world.published()
    world.fail(ref)
    world.queue.expire()
    assert world.answers == {"m-1": Failed(FailureKind.UNAVAILABLE, "for now", True)}
    assert world.stats.timeouts == 1
    await turns()
    assert world.nothing_is_sent()


async def test_one_attempt_that_may_have_stored_it_makes_repeating_unsafe() -> None:
    world = World(deadline_s=0)
    world.publish("m-1")
    for reason in (TIMEOUT, UNAVAILABLE):
        ((ref, _),) = await world.published()
        world.fail(ref, reason=reason)
    world.queue.expire()
    assert world.answers == {"m-1": Failed(FailureKind.UNAVAILABLE, "for now", False)}


async def test_a_repeat_that_gets_no_answer_makes_repeating_unsafe() -> None:
    world = World(deadline_s=0)
    world.publish("m-1")
    ((ref, _),) = await world.published()
    world.fail(ref)
    await world.sent()
    world.queue.expire()
    assert (world.failure("m-1").kind, world.failure("m-1").safe_to_repeat) == (FailureKind.TIMEOUT, False)


async def test_a_refusal_after_a_doubtful_attempt_is_doubtful_too() -> None:
    world = World()
    world.publish("m-1")
    for reason in (TIMEOUT, message_pb2.ERROR_REASON_LIMIT_EXCEEDED):
        ((ref, _),) = await world.published()
        world.fail(ref, reason=reason)
    assert world.answers == {"m-1": Failed(FailureKind.LIMIT, "for now", False)}


async def test_what_was_never_sent_is_safe_to_repeat() -> None:
    world = World(deadline_s=0)
    world.queue.cut()
    world.publish("m-1")
    world.queue.expire()
    assert (world.failure("m-1").kind, world.failure("m-1").safe_to_repeat) == (FailureKind.UNAVAILABLE, True)


async def test_what_was_held_is_safe_to_repeat() -> None:
    world = World(deadline_s=0)
    world.publish("m-1")
    ((ref, _),) = await world.published()
    world.fail(ref, reason=TIMEOUT)
    world.publish("m-2")
    world.queue.expire()
    assert (world.failure("m-1").safe_to_repeat, world.failure("m-2").safe_to_repeat) == (False, True)


async def test_what_is_pending_at_the_end_is_answered() -> None:
    world = World()
    world.publish("m-1")
    world.publish("m-2", "d/w/other")
    (_, (second, _)) = await world.published()
    world.fail(second)
    world.queue.fail_all("the edge is stopping")
    assert [world.failure(name).safe_to_repeat for name in ("m-1", "m-2")] == [False, True]
    await turns()
    assert world.nothing_is_sent()


# The stream breaks.


async def test_over_a_new_stream_everything_goes_once_more_in_order() -> None:
    world = World(deadline_s=0)
    for name in ("m-1", "m-2"):
        world.publish(name)
    refs = [ref for ref, _ in await world.published()]
    world.fail(refs[1])
    world.publish("m-3")
    world.queue.cut()
    world.publish("m-4")
    assert [command.publish.id for command in world.queue.go_live()] == ["m-1", "m-2", "m-3", "m-4"]
    world.fail(*range(refs[0], refs[0] + 4))
    world.queue.expire()
    assert [world.failure(name).safe_to_repeat for name in ("m-1", "m-2", "m-3", "m-4")] == [False, True, True, True]


async def test_nothing_goes_over_a_new_stream_for_a_connection_that_closed() -> None:
    world = World()
    world.publish("m-1")
    world.publish("m-2", number=BOB)
    await world.published()
    world.queue.cut()
    world.open.discard(ALICE)
    world.commands.close(ALICE)
    assert [command.publish.id for command in world.queue.go_live()] == ["m-2"]
    assert world.told == ["m-1"]


async def test_a_wait_ends_with_the_stream() -> None:
    world = World()
    world.publish("m-1")
    ((ref, _),) = await world.published()
    world.fail(ref)
    world.queue.cut()
    await turns()
    assert world.nothing_is_sent()
    assert [command.ref for command in world.queue.go_live()] == [ref]


# Bounds, and what nobody foresaw.


async def test_what_is_held_counts_against_the_bound() -> None:
    world = World(max_pending=2)
    world.publish("m-1")
    ((ref, _),) = await world.published()
    world.fail(ref)
    world.publish("m-2")
    world.publish("m-3")
    assert world.told == ["m-3"]
    assert (world.failure("m-3").kind, world.failure("m-3").safe_to_repeat) == (FailureKind.LIMIT, True)


async def test_a_defect_of_whoever_waits_ends_neither_the_sweep_nor_the_lane() -> None:
    world = World(deadline_s=0)

    def defective(answer: Answer) -> None:
        raise ValueError("defect")

    world.commands.publish(ALICE, "d/w/room", "chat_message", "m-1", b"{}", "", defective)
    world.publish("m-2")
    world.queue.expire()
    assert [(number, str(exc)) for number, exc in world.defects] == [(ALICE, "defect")]
    assert world.told == ["m-2"]


async def test_answers_that_come_too_late_are_counted_and_a_join_is_undone() -> None:
    world = World(deadline_s=0)
    world.commands.join(ALICE, "d/w/room", world.answered("join"))
    (join,) = await world.sent()
    world.queue.expire()
    world.queue.answer(pb.Event(ref=join.ref, session=ALICE, joined=pb.Joined(topic="d/w/room")), "joined")
    world.fail(join.ref)
    (leave,) = await world.sent()
    assert (leave.session, leave.leave.topic, leave.ref) == (ALICE, "d/w/room", 0)
    assert world.stats.late_answers == 2


async def test_the_oldest_command_says_for_how_long_it_waits() -> None:
    world = World()
    assert world.queue.oldest_s() == 0
    world.publish("m-1")
    await turns()
    waited_s = world.queue.oldest_s()
    world.publish("m-2")
    assert 0 < waited_s <= world.queue.oldest_s()
    ((first, _), _) = await world.published()
    world.store(first)
    assert world.queue.oldest_s() >= 0


async def test_a_join_says_where_it_is_in_force() -> None:
    world = World()
    world.commands.join(ALICE, "d/w/room", world.answered("join"), last=3)
    (join,) = await world.sent()
    joined = pb.Joined(topic="d/w/room", position=message_pb2.Position(epoch="e", offset=4), recovered=True)
    world.queue.answer(pb.Event(ref=join.ref, joined=joined), "joined")
    assert world.answers["join"] == Joined(Position("e", 4), True, None, [])


async def test_commands_say_what_the_core_asked_for() -> None:
    world = World()
    commands, ignored = world.commands, lambda _: None
    commands.join(ALICE, "d/w/room", ignored, since=Position("e", 3), presence=True)
    commands.join(BOB, "d/w/room", ignored, last_acked=True)
    commands.read_history(ALICE, "d/w/room", ignored, since=("e", 2), limit=5)
    commands.acknowledge(ALICE, "d/w/room", Position("e", 4))
    commands.resubscribe("d/w/room", Position("e", 4), [ALICE, BOB], [BOB])
    commands.send_canary("nonce")
    since, acked, history, acknowledged, resubscribed, canary = await world.sent()
    assert (since.join.since.epoch, since.join.since.offset, since.join.presence) == ("e", 3, True)
    assert acked.join.WhichOneof("replay") == "last_acked"
    assert (history.read_history.since.epoch, history.read_history.since.offset) == ("e", 2)
    assert history.read_history.limit == 5
    assert acknowledged.acknowledge.position.offset == 4
    assert list(resubscribed.resubscribe.sessions) == [ALICE, BOB]
    assert list(resubscribed.resubscribe.presence_sessions) == [BOB]
    assert canary.send_canary.nonce == "nonce"
    assert [command.ref for command in (acknowledged, resubscribed, canary)] == [0, 0, 0]


async def test_what_wants_no_answer_is_lost_while_no_session_service_is_there_and_counted() -> None:
    world = World()
    world.queue.cut()
    world.commands.send_canary("nonce")
    world.commands.close(ALICE)
    assert world.queue.go_live() == []
    assert world.nothing_is_sent()
    assert world.stats.dropped_commands == 2
