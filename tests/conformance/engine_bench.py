"""What the conformance suite needs of an engine besides its port: a store to open again and again, and its time.

Add an engine: a subclass of `EngineBench`, and its name in `engine_factories.py`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from session_service.core.errors import SessionError
from session_service.core.model import NewMessage, Page, Position, Stored, StoredMessage, Thread, weight
from session_service.core.ports import Engine
from session_service.core.retention import RetentionPolicy, RetentionRule
from tests.support.protocol_client import new_name
from tests.support.waiting import eventually

DEADLINE_S = 20.0
FOR_EVER = RetentionRule(1_000_000, 1e9, 1 << 40)
TOPIC = "tests/w1/chat"
UNBOUNDED = 1 << 40


class ManualClock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0
        self.monotonic_s = 1000.0

    def now(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.monotonic_s

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds
        self.monotonic_s += seconds


@dataclass(frozen=True)
class EngineOptions:
    """What every engine lets an operator bound."""

    default_rule: RetentionRule = FOR_EVER
    rules: Sequence[tuple[str, RetentionRule]] = ()
    idempotency_window_s: float = 300.0
    max_threads: int = 1000
    max_pending: int = 50_000
    max_pending_bytes: int = 64 << 20

    @property
    def retention(self) -> RetentionPolicy:
        return RetentionPolicy(self.default_rule, self.rules)


class EngineBench(ABC):
    """One store; each `open` is another process's life on it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._open: list[EngineUser] = []

    async def open(self, **options: Any) -> EngineUser:
        """Start an engine on the store."""
        user = EngineUser(self, self.make(EngineOptions(**options)))
        await user.engine.start(user)
        self._open.append(user)
        return user

    async def reopen(self, user: EngineUser, **options: Any) -> EngineUser:
        """End one life in order, and begin the next."""
        await user.close()
        return await self.open(**options)

    async def close_all(self) -> None:
        for user in self._open:
            await user.close()

    @abstractmethod
    def make(self, options: EngineOptions) -> Engine:
        """Return an engine on the store, not yet started."""

    @abstractmethod
    async def renew(self) -> int:
        """Give each channel of the store, which nobody uses, another epoch; return how many there are."""

    @abstractmethod
    async def maintain(self, user: EngineUser) -> None:
        """Have the engine look at retention once more."""


@dataclass
class Event:
    """One callback, in the order of all of them."""

    kind: str
    topic: str
    offset: int
    of: Any = field(repr=False, default=None)


class EngineUser:
    """Uses an engine as the session service does, and notes every callback in order."""

    def __init__(self, bench: EngineBench, engine: Engine) -> None:
        self.bench = bench
        self.engine = engine
        self.events: list[Event] = []
        self._ids = 0
        self._name = new_name("m")
        self._changed = asyncio.Event()

    async def close(self) -> None:
        await self.engine.close()

    # The listener.

    def on_message(self, message: StoredMessage) -> None:
        self._note(Event("message", message.topic, message.offset, message))

    def on_renewed(self, topic: str, position: Position, *, lossless: bool) -> None:
        self._note(Event("renewed", topic, position.offset, (position, lossless)))

    def _note(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    def messages(self, topic: str = TOPIC) -> list[StoredMessage]:
        """Return what the listener was given of a topic."""
        return [event.of for event in self.events if event.kind == "message" and event.topic == topic]

    def offsets(self, topic: str = TOPIC) -> list[int]:
        return [message.offset for message in self.messages(topic)]

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Return when a condition holds that callbacks bring about."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()
        assert condition(), what

    # Commands.

    def new_id(self) -> str:
        self._ids += 1
        return f"{self._name}-{self._ids}"

    def submit(self, topic: str = TOPIC, data: bytes = b"{}", **fields: Any) -> asyncio.Future[Stored]:
        """Append without waiting."""
        values = {"type": "chat_message", "id": self.new_id(), "client_id": "alice", **fields}
        message = NewMessage(topic, data=data, **values)
        return self._promise(
            lambda done: self.engine.append(message, done),
            lambda stored: Event("stored", topic, stored.offset, message.id),
        )

    async def append(self, topic: str = TOPIC, data: bytes = b"{}", **fields: Any) -> Stored:
        """Append, and wait until it is stored."""
        return await self._in_time(self.submit(topic, data, **fields))

    async def stored_at_last(self, topic: str = TOPIC, **fields: Any) -> Stored:
        """Append again and again, with one id, until it is stored."""
        fields = {"id": self.new_id(), **fields}
        found: list[Stored] = []

        async def is_stored() -> bool:
            try:
                found.append(await self.append(topic, **fields))
            except SessionError:
                return False
            return True

        await eventually(is_stored, 30.0, "the store takes a message")
        return found[0]

    async def fill(self, count: int, topic: str = TOPIC, **fields: Any) -> list[Stored]:
        """Append several at once."""
        return await self._in_time(asyncio.gather(*[self.submit(topic, **fields) for _ in range(count)]))

    def begin_subscribe(self, topic: str = TOPIC) -> asyncio.Future[Position]:
        """Subscribe without waiting."""
        return self._promise(
            lambda done: self.engine.subscribe(topic, done),
            lambda position: Event("subscribed", topic, position.offset, position),
        )

    async def subscribe(self, topic: str = TOPIC) -> Position:
        """Subscribe, and wait for the answer."""
        return await self._in_time(self.begin_subscribe(topic))

    def _promise(self, begin: Callable[[Callable[[Any], None]], None], event: Callable[[Any], Event]) -> Any:
        promise: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(result: Any) -> None:
            assert not promise.done(), "a callback was called twice"
            if isinstance(result, SessionError):
                promise.set_exception(result)
            else:
                self._note(event(result))
                promise.set_result(result)

        begin(done)
        return promise

    # Reads.

    async def read(self, topic: str = TOPIC, after: int = 0, limit: int = 1000, max_bytes: int = UNBOUNDED) -> Page:
        return await self._in_time(self.engine.read(topic, after, limit, max_bytes))

    async def last(self, topic: str = TOPIC, count: int = 1000, max_bytes: int = UNBOUNDED) -> Page:
        return await self._in_time(self.engine.last(topic, count, max_bytes))

    async def maintained(self, topic: str, low: int) -> Page:
        """Return a page of a topic when retention has moved its `low` to where it belongs."""
        found: list[Page] = []

        async def moved() -> bool:
            await self.bench.maintain(self)
            found[:] = [await self.read(topic)]
            return found[0].low >= low

        await eventually(moved, DEADLINE_S, f"low of {topic} becomes {low}")
        return found[0]

    async def acknowledged(self, client_id: str = "bob", topic: str = TOPIC) -> Position | None:
        return await self._in_time(self.engine.acknowledged(topic, client_id))

    async def counts(self, *offsets: int, topic: str = TOPIC) -> list[int]:
        """Return how many acknowledged each of these messages."""
        return [await self._in_time(self.engine.count_acknowledged(topic, offset)) for offset in offsets]

    async def create_thread(self, thread_id: str = "t-1", **fields: Any) -> tuple[Thread, bool]:
        return await self._in_time(self.engine.create_thread(a_thread(thread_id, **fields)))

    @staticmethod
    async def _in_time(answer: Any) -> Any:
        async with asyncio.timeout(DEADLINE_S):
            return await answer


def a_thread(thread_id: str = "t-1", **fields: Any) -> Thread:
    """Return a thread as the session service asks for it."""
    base = Thread(thread_id, "tests", "w1", f"Title of {thread_id}", "chat", "alice", 0, 0, 0, b'{"a":1}')
    return base._replace(**fields)


def weight_of(data: bytes, topic: str = TOPIC) -> int:
    """Return what a message with these data weighs."""
    return weight(StoredMessage(topic, "", "", "", "", 0, 0, data))


def offsets_of(page: Page) -> list[int]:
    return [message.offset for message in page.messages]
