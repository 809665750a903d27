"""Commands on their way to a session service: those that wait to be written, and those that wait for their answer.

A command that wants an answer is pending under its `ref` until that comes or its deadline passes. All have the same time to
live, so they expire in the order in which they were taken, and one look at the oldest is enough. What is pending when the
stream breaks is sent once more over the next one, and what the session service could not do for now is repeated
(`command_retries`): publishes carry an id, so that repeating stores nothing twice, and all else can be done twice.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence

from tidewire.session.v1 import edge_stream_pb2 as pb

from ws_edge.adapters import session_commands
from ws_edge.adapters.command_retries import REPEATED, CommandRetries
from ws_edge.adapters.pending_command import Pending
from ws_edge.adapters.session_events import answer_of, failure_of
from ws_edge.adapters.stream_stats import StreamStats
from ws_edge.core.ports import Failed, FailureKind, OnAnswer

AWAY = Failed(FailureKind.UNAVAILABLE, "The session service is away", True)
"""Of a command that was not sent."""


class CommandQueue:
    """Implements `session_commands.CommandSink`.

    Args:
        stats: Counters.
        deadline_s: How long a command may wait for its answer, reconnects and repeats included, in seconds.
        max_pending: How many commands may wait at once; more are refused.
        backoff: Returns the seconds to wait before the n-th repeat.
        is_open: Says if a connection, by its number, is still there.
        on_defect: Told of an exception of whoever waits for an answer, with the number of the connection.
    """

    def __init__(
        self,
        stats: StreamStats,
        *,
        deadline_s: float,
        max_pending: int,
        backoff: Callable[[int], float],
        is_open: Callable[[int], bool],
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
        self._retries = CommandRetries(
            self._pending,
            stats,
            backoff=backoff,
            is_open=is_open,
            send=self._push,
            give_up=self._give_up,
            close_session=lambda number: self.tell(session_commands.close_session(number)),
        )

    def __len__(self) -> int:
        return len(self._pending)

    def oldest_s(self) -> float:
        """Return for how long the command waits that was taken first, in seconds; 0 if none waits."""
        oldest = next(iter(self._pending.values()), None)
        if oldest is None:
            return 0.0
        return time.monotonic() - (oldest.deadline - self._deadline_s)

    # Commands come in.

    def ask(self, command: pb.Command, on_answer: OnAnswer) -> None:
        """Take a command that wants an answer; `on_answer` is called once, whatever happens."""
        if len(self._pending) >= self._max_pending:
            on_answer(Failed(FailureKind.LIMIT, "Too many commands wait for the session service", True))
            return
        ref = command.ref = next(self._refs)
        deadline = time.monotonic() + self._deadline_s
        pending = self._pending[ref] = Pending(command, on_answer, deadline)
        if not self.live:
            pending.failure = AWAY
        elif not self._retries.active or self._retries.admit(ref, pending):
            self._push(command)

    def tell(self, command: pb.Command) -> None:
        """Take a command that wants no answer; it is lost while no session service is there."""
        if self.live:
            self._push(command)
        else:
            self._stats.dropped_commands += 1

    def close_session(self, number: int) -> None:
        """Take the end of a connection; while something is repeated, behind what it has published."""
        if not self._retries.active or not self._retries.close(number):
            self.tell(session_commands.close_session(number))

    def _push(self, command: pb.Command) -> None:
        self._stats.commands += 1
        self._out.append(command)
        self._wake.set()

    # Commands go out.

    def go_live(self) -> list[pb.Command]:
        """Return what is pending, to be sent once more; from now on commands are sent behind it."""
        self.live = True
        again, unwanted = [], []
        for ref, pending in self._pending.items():
            if self._retries.wanted(pending.command):
                pending.sent_again()
                again.append(pending.command)
            else:
                unwanted.append(ref)
        self._give_up(unwanted)
        return again

    def cut(self) -> None:
        """Note that the stream is gone, and with it what was not written."""
        self.live = False
        self._retries.clear()
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
        """Hand an answer to whoever waits for it, unless it says to try again."""
        if kind == "failed":
            self._failed(event)
            return
        pending = self._pending.pop(event.ref, None)
        if pending is not None:
            if self._retries.active:
                self._retries.done(event.ref, pending)
            pending.on_answer(answer_of(event, kind))
            return
        self._stats.late_answers += 1
        if kind == "joined":  # the client was told that its join failed: make that true
            self.tell(session_commands.leave(event.session, event.joined.topic))

    def _failed(self, event: pb.Event) -> None:
        pending = self._pending.get(event.ref)
        if pending is None:
            self._stats.late_answers += 1
            return
        pending.failure = failure_of(event.failed)
        if pending.failure.kind in REPEATED and self._retries.wanted(pending.command):
            self._retries.postpone(event.ref, pending)
        else:
            self._give_up([event.ref])

    def expire(self) -> None:
        """Answer commands whose time is over: as timed out while the stream lives, else as unavailable."""
        now = time.monotonic()
        expired = []
        for ref, pending in self._pending.items():
            if pending.deadline > now:
                break
            expired.append(ref)
        self._stats.timeouts += len(expired)
        self._give_up(expired)

    def fail_all(self, why: str) -> None:
        """Answer everything that is pending as unavailable."""
        self._retries.clear()
        for pending in self._pending.values():
            unsent = pending.failure is not None and pending.failure.safe_to_repeat
            pending.failure = Failed(FailureKind.UNAVAILABLE, why, unsent)
        self._give_up(list(self._pending))

    def _give_up(self, refs: Sequence[int]) -> None:
        """Answer commands with what the last attempt of each came to."""
        commands = [(ref, self._pending.pop(ref)) for ref in refs]
        if self._retries.active:
            self._retries.gone(commands)
        for _, pending in commands:
            try:
                pending.on_answer(pending.final(pending.failure or self._no_answer()))
            except Exception as exc:
                self._on_defect(pending.command.session, exc)

    def _no_answer(self) -> Failed:
        if self.live:
            return Failed(FailureKind.TIMEOUT, "The session service did not answer in time", False)
        return Failed(FailureKind.UNAVAILABLE, "The session service is away", False)
