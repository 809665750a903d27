"""An engine in memory: the obvious way to do what the port says, except threads and retention, which tests set by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from session_service.core.errors import SessionError
from session_service.core.model import (
    NewMessage,
    Page,
    Position,
    Stored,
    StoredMessage,
    Thread,
    ThreadMessages,
    ThreadPage,
    weight,
)
from session_service.core.ports import EngineListener, OnStored, OnSubscribed
from tests.unit.session_service.fakes import EPOCH, NOW_MS


@dataclass
class _Topic:
    messages: list[StoredMessage] = field(default_factory=list)
    epoch: str = EPOCH
    low: int = 0
    base: int = 0
    """Offsets up to it are of messages that tests never made."""
    formers: dict[str, int] = field(default_factory=dict)

    @property
    def head(self) -> int:
        return self.base + len(self.messages)


class MemoryEngine:
    """`fault`: what every command is answered with. `held`: callbacks wait for `release`. `stepwise`: see `next_read`."""

    def __init__(self) -> None:
        self.fault: SessionError | None = None
        self.stepwise = False
        self.held = False
        self.reads: list[tuple[str, int]] = []
        self.listened_anew = 0
        self.subscribed: set[str] = set()
        self._topics: dict[str, _Topic] = {}
        self._acks: dict[tuple[str, str], tuple[Position, int]] = {}
        self._listener: EngineListener | None = None
        self._calls: list[Callable[[], None]] = []
        self._waiting: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()

    # What tests do.

    def topic(self, name: str) -> _Topic:
        return self._topics.setdefault(name, _Topic())

    def fill(self, topic: str, count: int, *, size: int = 2) -> None:
        """Store messages at once, without telling anybody."""
        for _ in range(count):
            self._store(NewMessage(topic, "chat_message", f"m-{self.topic(topic).head + 1}", "zoe", b"x" * size))

    def say(self, topic: str, count: int = 1) -> None:
        """Store messages at once and give them to the listener, as if others had sent them."""
        for _ in range(count):
            _, message = self._store(NewMessage(topic, "chat_message", "", "zoe", b"{}"))
            if topic in self.subscribed and self._listener is not None:
                self._listener.on_message(message)

    def new_life(self, topic: str, epoch: str) -> None:
        """Lose everything of a topic, and begin anew."""
        self._topics[topic] = _Topic(epoch=epoch)

    def renew(self, topic: str, epoch: str, kept: int) -> None:
        """Lose what comes after an offset, and go on in another epoch."""
        state = self.topic(topic)
        messages = [message._replace(epoch=epoch) for message in state.messages if message.offset <= kept]
        self._topics[topic] = _Topic(messages, epoch, state.low, formers={**state.formers, state.epoch: kept})

    async def next_read(self) -> asyncio.Future[None]:
        """Return the next read that waits, in stepwise mode: it goes on when a result is set."""
        return await self._waiting.get()

    def run_freely(self) -> None:
        """End stepwise mode: what waits, and what comes, goes on."""
        self.stepwise = False
        while not self._waiting.empty():
            self._waiting.get_nowait().set_result(None)

    def release(self) -> None:
        """Call the callbacks that were held, in order."""
        self.held = False
        while self._calls:
            self._calls.pop(0)()

    # The port.

    async def start(self, listener: EngineListener) -> None:
        self._listener = listener

    async def close(self) -> None:
        self._listener = None

    def listen_anew(self) -> None:
        self.listened_anew += 1

    def append(self, message: NewMessage, on_stored: OnStored) -> None:
        def answer() -> None:
            if self.fault is not None:
                on_stored(self.fault)
                return
            earlier = [
                each for each in self.topic(message.topic).messages if (each.client_id, each.id) == message[3:1:-1]
            ]
            if earlier:
                on_stored(Stored(earlier[0].epoch, earlier[0].offset, earlier[0].time_ms, True))
                return
            stored, delivered = self._store(message)
            if message.topic in self.subscribed and self._listener is not None:
                self._listener.on_message(delivered)
            on_stored(stored)

        self._soon(answer)

    def subscribe(self, topic: str, on_subscribed: OnSubscribed) -> None:
        def answer() -> None:
            if self.fault is not None:
                on_subscribed(self.fault)
                return
            self.subscribed.add(topic)
            state = self.topic(topic)
            on_subscribed(Position(state.epoch, state.head))

        self._soon(answer)

    def unsubscribe(self, topic: str) -> None:
        self.subscribed.discard(topic)

    async def read(self, topic: str, after: int, limit: int, max_bytes: int) -> Page:
        self.reads.append((topic, after))
        await self._wait()
        state = self.topic(topic)
        messages: list[StoredMessage] = []
        for message in state.messages:
            if message.offset > max(after, state.low) and len(messages) < limit:
                max_bytes -= weight(message)
                if max_bytes < 0 and messages:
                    break
                messages.append(message)
        more = bool(messages) and messages[-1].offset < state.head
        return Page(state.epoch, state.head, state.low, messages, more, state.formers)

    async def last(self, topic: str, count: int, max_bytes: int) -> Page:
        await self._wait()
        state = self.topic(topic)
        messages: list[StoredMessage] = []
        for message in reversed(state.messages):
            max_bytes -= weight(message)
            if message.offset <= state.low or len(messages) == count or (max_bytes < 0 and messages):
                break
            messages.insert(0, message)
        return Page(state.epoch, state.head, state.low, messages, False)

    def acknowledge(self, topic: str, client_id: str, position: Position, *, baseline: bool = False) -> None:
        before = self._acks.get((topic, client_id))
        if before is None or (not baseline and before[0].offset < position.offset):
            start = before[1] if before else position.offset if baseline else 0
            self._acks[topic, client_id] = (position, start)

    async def acknowledged(self, topic: str, client_id: str) -> Position | None:
        await self._wait()
        found = self._acks.get((topic, client_id))
        return None if found is None else found[0]

    async def count_acknowledged(self, topic: str, offset: int) -> int:
        await self._wait()
        return sum(
            start < offset <= position.offset for (name, _), (position, start) in self._acks.items() if name == topic
        )

    async def create_thread(self, thread: Thread) -> tuple[Thread, bool]:
        raise NotImplementedError

    async def thread(self, domain: str, workspace: str, thread_id: str) -> Thread | None:
        raise NotImplementedError

    async def threads(self, domain: str, workspace: str, limit: int, token: int) -> ThreadPage:
        raise NotImplementedError

    async def thread_messages(
        self, domain: str, workspace: str, thread_id: str, limit: int, token: int
    ) -> ThreadMessages:
        raise NotImplementedError

    # Helpers.

    async def _wait(self) -> None:
        if self.stepwise:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.put_nowait(turn)
            await turn
        if self.fault is not None:
            raise self.fault

    def _store(self, message: NewMessage) -> tuple[Stored, StoredMessage]:
        state = self.topic(message.topic)
        offset = state.head + 1
        stored = StoredMessage(
            message.topic,
            message.type,
            message.id or f"m-{offset}",
            message.client_id,
            state.epoch,
            offset,
            NOW_MS,
            message.data,
        )
        state.messages.append(stored)
        return Stored(state.epoch, offset, NOW_MS, False), stored

    def _soon(self, call: Callable[[], None]) -> None:
        if self.held:
            self._calls.append(call)
        else:
            asyncio.get_running_loop().call_soon(call)
