"""What becomes of commands: answers, repeats inside the deadline, order, and what the final error says of repeating."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import message_pb2

from ws_edge.adapters.command_queue import CommandQueue
from ws_edge.adapters.session_commands import SessionCommands
from ws_edge.adapters.stream_stats import StreamStats
from ws_edge.core.ports import Answer, Failed, FailureKind, Joined, Position, Published, SessionFacts

UNAVAILABLE = message_pb2.ERROR_REASON_ENGINE_UNAVAILABLE
TIMEOUT = message_pb2.ERROR_REASON_ENGINE_TIMEOUT
SOON_S = 5.0
ALICE, BOB = 1, 2


class World:
    """A queue, what was sent, and what was answered; repeats come as soon as the event loop turns."""

    def __init__(self, *, deadline_s: float = 60.0, max_pending: int = 100) -> None:
        self.stats = StreamStats()
        self.rounds: list[int] = []
        self.open = {ALICE, BOB}
        self.defects: list[tuple[int, Exception]] = []
        self.queue = CommandQueue(
            self.stats,
            deadline_s=deadline_s,
            max_pending=max_pending,
            backoff=self._backoff,
            is_open=lambda number: number in self.open,
            on_defect=lambda number, exc: self.defects.append((number, exc)),
        )
        self.commands = SessionCommands(self.queue)
        self.answers: dict[str, Answer] = {}
        self.told: list[str] = []
        self.queue.go_live()

    def _backoff(self, count: int) -> float:
        self.rounds.append(count)
        return 0.0

    def answered(self, name: str) -> Callable[[Answer], None]:
        def on_answer(answer: Answer) -> None:
            assert name not in self.answers, "answered twice"
            self.answers[name] = answer
            self.told.append(name)

        return on_answer

    def publish(self, name: str, topic: str = "d/w/room", number: int = ALICE) -> None:
        self.commands.publish(number, topic, "chat_message", name, b"{}", "", self.answered(name))

    async def sent(self) -> list[pb.Command]:
        """Return what is sent next."""
        async with asyncio.timeout(SOON_S):
            return await self.queue.take()

    async def published(self) -> list[tuple[int, str]]:
        """Return the refs and ids of what is sent next, all of which must be publishes."""
        return [(command.ref, command.publish.id) for command in await self.sent()]

    def nothing_is_sent(self) -> bool:
        return not self.queue._out

    def store(self, *refs: int) -> None:
        for ref in refs:
            self.queue.answer(pb.Event(ref=ref, published=pb.Published(id="x")), "published")

    def fail(self, *refs: int, reason: int = UNAVAILABLE) -> None:
        for ref in refs:
            failed = pb.CommandFailed(reason=reason, message="for now", safe_to_repeat=reason != TIMEOUT)
            self.queue.answer(pb.Event(ref=ref, failed=failed), "failed")

    def failure(self, name: str) -> Failed:
        answer = self.answers[name]
        assert isinstance(answer, Failed)
        return answer


async def turns(count: int = 5) -> None:
    """Let the event loop turn, so that all that is due has happened."""
    for _ in range(count):
        await asyncio.sleep(0)


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
