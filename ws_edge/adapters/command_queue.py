"""Commands on their way to a session service: those that wait to be written, and those that wait for their answer.

A command that wants an answer is pending under its `ref` until that comes or its deadline passes. All have the same time to
live, so they expire in the order in which they were taken, and one look at the oldest is enough. What is pending when the
stream breaks is sent once more over the next one: publishes carry an id, so that repeating stores nothing twice.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from tidewire.session.v1 import edge_stream_pb2 as pb

from ws_edge.adapters import session_commands
from ws_edge.adapters.session_events import answer_of
from ws_edge.adapters.stream_stats import StreamStats
from ws_edge.core.ports import Answer, Failed, FailureKind, OnAnswer


class Pending:
    """A command that waits for its answer."""

    __slots__ = ("command", "deadline", "on_answer")

    def __init__(self, command: pb.Command, on_answer: OnAnswer, deadline: float) -> None:
        self.command = command
        self.on_answer = on_answer
        self.deadline = deadline


class CommandQueue:
    """Implements `session_commands.CommandSink`.

    Args:
        stats: Counters.
        deadline_s: How long a command may wait for its answer, reconnects included, in seconds.
        max_pending: How many commands may wait at once; more are refused.
        on_defect: Told of an exception of whoever waits for an answer, with the number of the connection.
    """

    def __init__(
        self,
        stats: StreamStats,
        *,
        deadline_s: float,
        max_pending: int,
        on_defect: Callable[[int, Exception], None],
    ) -> None:
        self.live = False
        self._stats = stats
        self._deadline_s = deadline_s
        self._max_pending = max_pending
        self._on_defect = on_defect
        self._refs = itertools.count(1)
        self._pending: dict[int, Pending] = {}
        self._out: list[pb.Command] = []
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._pending)

    # Commands come in.

    def ask(self, command: pb.Command, on_answer: OnAnswer) -> None:
        """Take a command that wants an answer; `on_answer` is called once, whatever happens."""
        if len(self._pending) >= self._max_pending:
            on_answer(Failed(FailureKind.LIMIT, "Too many commands wait for the session service", True))
            return
        ref = command.ref = next(self._refs)
        deadline = asyncio.get_running_loop().time() + self._deadline_s
        self._pending[ref] = Pending(command, on_answer, deadline)
        if self.live:
            self._push(command)

    def tell(self, command: pb.Command) -> None:
        """Take a command that wants no answer; it is lost while no session service is there."""
        if self.live:
            self._push(command)
        else:
            self._stats.dropped_commands += 1

    def close_session(self, number: int) -> None:
        """Take the end of a connection."""
        self.tell(session_commands.close_session(number))

    def _push(self, command: pb.Command) -> None:
        self._stats.commands += 1
        self._out.append(command)
        self._wake.set()

    # Commands go out.

    def go_live(self) -> list[pb.Command]:
        """Return what is pending, to be sent once more; from now on commands are sent behind it."""
        self.live = True
        return [pending.command for pending in self._pending.values()]

    def cut(self) -> None:
        """Note that the stream is gone, and with it what was not written."""
        self.live = False
        self._out.clear()
        self._wake.clear()

    async def take(self) -> list[pb.Command]:
        """Wait for commands, and return what one tick gathered."""
        await self._wake.wait()
        self._wake.clear()
        commands, self._out = self._out, []
        return commands

    # Answers.

    def answer(self, event: pb.Event, kind: str | None) -> None:
        """Hand an answer to whoever waits for it."""
        pending = self._pending.pop(event.ref, None)
        if pending is not None:
            pending.on_answer(answer_of(event, kind))
            return
        self._stats.late_answers += 1
        if kind == "joined":  # the client was told that its join failed: make that true
            self.tell(session_commands.leave(event.session, event.joined.topic))

    def expire(self) -> None:
        """Answer commands whose time is over: as timed out while the stream lives, else as unavailable."""
        now = asyncio.get_running_loop().time()
        expired = []
        for ref, pending in self._pending.items():
            if pending.deadline > now:
                break
            expired.append(ref)
        for ref in expired:
            self._stats.timeouts += 1
            self._settle(self._pending.pop(ref), self._no_answer())

    def fail_all(self, why: str) -> None:
        """Answer everything that is pending as unavailable."""
        everything, self._pending = self._pending, {}
        for pending in everything.values():
            self._settle(pending, Failed(FailureKind.UNAVAILABLE, why, False))

    def _no_answer(self) -> Failed:
        if self.live:
            return Failed(FailureKind.TIMEOUT, "The session service did not answer in time", False)
        return Failed(FailureKind.UNAVAILABLE, "The session service is away", False)

    def _settle(self, pending: Pending, answer: Answer) -> None:
        try:
            pending.on_answer(answer)
        except Exception as exc:
            self._on_defect(pending.command.session, exc)
