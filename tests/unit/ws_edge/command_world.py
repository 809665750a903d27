"""A command queue in a world that a test moves by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import message_pb2

from ws_edge.adapters.command_queue import CommandQueue
from ws_edge.adapters.session_commands import SessionCommands
from ws_edge.adapters.stream_stats import StreamStats
from ws_edge.core.ports import Answer, Failed

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
