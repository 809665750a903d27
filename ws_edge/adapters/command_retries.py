"""Repeats commands that the session service could not do for now, with backoff, without changing their order.

Commands whose order matters share a lane: what is published to one topic, or one session's joins and leaves of one channel.
A lane in which something failed takes nothing new in until that is repeated: what comes is held, and goes behind it. Before a
lane is repeated, every command of it that was already under way is answered, so that what failed goes out in order. If such a
command of the same session was done meanwhile, the one that failed before it is given up: repeated, it would be overtaken.

While nothing fails there are no lanes, and commands pass by all of this (`active` is false).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from tidewire.session.v1 import edge_stream_pb2 as pb

from ws_edge.adapters.pending_command import Pending
from ws_edge.adapters.stream_stats import StreamStats
from ws_edge.core.ports import Failed, FailureKind

LaneKey: TypeAlias = str | tuple[int, str] | int

REPEATED: Final = frozenset({FailureKind.UNAVAILABLE, FailureKind.TIMEOUT})
"""Kinds of failure that pass; a limit that is reached is told at once, or repeats would keep it reached."""

BEHIND: Final = Failed(FailureKind.UNAVAILABLE, "The session service has not done what was asked before this", True)
"""Of a command that was held until its time was over."""


class Lane:
    """Commands whose order matters, by `ref`, which grows.

    Attributes:
        flying: Sent, and not answered.
        failed: To be repeated.
        held: Came later, and were not sent yet.
        rounds: How often the lane was repeated since it last worked.
        timer: Runs until the lane may be repeated.
        due: It may, as soon as nothing flies.
    """

    __slots__ = ("due", "failed", "flying", "held", "rounds", "timer")

    def __init__(self) -> None:
        self.flying: set[int] = set()
        self.failed: dict[int, Pending] = {}
        self.held: dict[int, Pending] = {}
        self.rounds = 0
        self.timer: asyncio.TimerHandle | None = None
        self.due = False


class CommandRetries:
    """The lanes in which something fails, and those beside them.

    Args:
        pending: All pending commands by `ref`, kept by the queue.
        stats: Counters.
        backoff: Returns the seconds to wait before the n-th repeat.
        is_open: Says if a connection, by its number, is still there.
        send: Sends a command.
        give_up: Answers pending commands with what the last attempt of each came to.
        close_session: Sends the end of a connection.
    """

    def __init__(
        self,
        pending: Mapping[int, Pending],
        stats: StreamStats,
        *,
        backoff: Callable[[int], float],
        is_open: Callable[[int], bool],
        send: Callable[[pb.Command], None],
        give_up: Callable[[Sequence[int]], None],
        close_session: Callable[[int], None],
    ) -> None:
        self.active = False
        self._pending = pending
        self._stats = stats
        self._backoff = backoff
        self._is_open = is_open
        self._send = send
        self._give_up = give_up
        self._close_session = close_session
        self._lanes: dict[LaneKey, Lane] = {}
        self._troubled: set[LaneKey] = set()
        self._publishing: Counter[int] = Counter()
        self._closing: set[int] = set()

    def admit(self, ref: int, pending: Pending) -> bool:
        """Take a new command into its lane, while `active`; says if it may be sent now."""
        command = pending.command
        key = _lane_of(ref, command)
        if _is_publish(command):
            self._publishing[command.session] += 1
        lane = self._lanes.setdefault(key, Lane())
        if key not in self._troubled:
            lane.flying.add(ref)
            return True
        pending.failure = BEHIND
        lane.held[ref] = pending
        self._stats.held_commands += 1
        return False

    def postpone(self, ref: int, pending: Pending) -> None:
        """Take in a command that failed, to be repeated."""
        if not self.active:
            self._begin()
        key = _lane_of(ref, pending.command)
        lane = self._lanes.setdefault(key, Lane())
        lane.flying.discard(ref)
        lane.failed[ref] = pending
        self._troubled.add(key)
        if lane.timer is None and not lane.due:
            lane.timer = asyncio.get_running_loop().call_later(self._backoff(lane.rounds), self._wait_is_over, key)
        self._go_on(key)

    def done(self, ref: int, pending: Pending) -> None:
        """Note that a command is done, while `active`."""
        key = self._leave(ref, pending)
        lane = self._lanes.get(key)
        if lane is not None and lane.failed:
            number = pending.command.session
            overtaken = [r for r, p in lane.failed.items() if r < ref and p.command.session == number]
            self._stats.overtaken_commands += len(overtaken)
            self._give_up(overtaken)
        self._go_on(key)

    def gone(self, commands: Sequence[tuple[int, Pending]]) -> None:
        """Note that commands are given up, while `active`: all of them, before anything goes on."""
        for key in [self._leave(ref, pending) for ref, pending in commands]:
            self._go_on(key)

    def _leave(self, ref: int, pending: Pending) -> LaneKey:
        command = pending.command
        key = _lane_of(ref, command)
        lane = self._lanes.get(key)
        if lane is not None:
            lane.flying.discard(ref)
            lane.failed.pop(ref, None)
            lane.held.pop(ref, None)
        if _is_publish(command):
            self._published(command.session)
        return key

    def close(self, number: int) -> bool:
        """Take the end of a connection, while `active`; says if it was kept back until what it published is through."""
        if not self._publishing.get(number):
            return False
        self._closing.add(number)
        return True

    def clear(self) -> None:
        """Forget the lanes: the stream is gone, and what is pending goes out in order over the next one."""
        for lane in self._lanes.values():
            if lane.timer is not None:
                lane.timer.cancel()
        self._lanes.clear()
        self._troubled.clear()
        self._publishing.clear()
        self._closing.clear()
        self.active = False

    def _begin(self) -> None:
        """Find what is under way in which lane: nobody kept book of that while all went well."""
        self.active = True
        for ref, pending in self._pending.items():
            self._lanes.setdefault(_lane_of(ref, pending.command), Lane()).flying.add(ref)
            if _is_publish(pending.command):
                self._publishing[pending.command.session] += 1

    def _wait_is_over(self, key: LaneKey) -> None:
        lane = self._lanes[key]
        lane.timer = None
        lane.due = True
        self._go_on(key)

    def _go_on(self, key: LaneKey) -> None:
        """Repeat a lane whose time has come, or open it again when nothing of it failed."""
        lane = self._lanes.get(key)
        if lane is None or lane.flying:
            return
        if lane.failed:
            if lane.due:
                lane.due = False
                lane.rounds += 1
                self._repeat(lane)
            return
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        lane.due = False
        lane.rounds = 0
        self._troubled.discard(key)
        if lane.held:
            self._repeat(lane)
        else:
            del self._lanes[key]
        if self.active and not self._troubled:
            self._end()

    def _repeat(self, lane: Lane) -> None:
        """Send what failed, in order, and what was held behind it."""
        self._stats.retries += len(lane.failed)
        waiting = [*sorted(lane.failed.items()), *lane.held.items()]
        lane.failed, lane.held = {}, {}
        unwanted = []
        for ref, pending in waiting:
            lane.flying.add(ref)
            if self.wanted(pending.command):
                pending.sent_again()
                self._send(pending.command)
            else:
                unwanted.append(ref)
        self._give_up(unwanted)

    def wanted(self, command: pb.Command) -> bool:
        """Say if a command is still worth repeating: its connection is there, or it is a message that was taken."""
        number = command.session
        return self._is_open(number) or (number in self._closing and _is_publish(command))

    def _published(self, number: int) -> None:
        self._publishing[number] -= 1
        if not self._publishing[number]:
            del self._publishing[number]
            if number in self._closing:
                self._closing.discard(number)
                self._close_session(number)

    def _end(self) -> None:
        """Stop keeping book: every lane works."""
        closing = list(self._closing)
        self.clear()
        for number in closing:
            self._close_session(number)


def _lane_of(ref: int, command: pb.Command) -> LaneKey:
    kind = command.WhichOneof("command")
    if kind == "publish":
        return command.publish.topic
    if kind == "join":
        return command.session, command.join.topic
    if kind == "leave":
        return command.session, command.leave.topic
    return ref


def _is_publish(command: pb.Command) -> bool:
    return command.HasField("publish")
