"""Engines against an obvious model, over random orders of everything that the session service does, with crashes as steps.

`TIDEWIRE_TEST_MODEL_EXAMPLES=2000` makes it so many orders for each engine, others in each run; without it they are the same
in each, and few.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from session_service.core.errors import LimitExceeded
from session_service.core.model import NewMessage, Position, StoredMessage
from session_service.core.retention import RetentionRule
from tests.conformance.engine_bench import UNBOUNDED, EngineUser, a_thread, weight_of
from tests.conformance.engine_crashes import CrashingBench, CrashingRedis, CrashingSqlite
from tests.conformance.engine_model import Threads, Topic, messages_of
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.integration, pytest.mark.slow]

T = TypeVar("T")

EXAMPLES = os.environ.get("TIDEWIRE_TEST_MODEL_EXAMPLES", "")
STEPS = 40
WINDOW_S = 300.0
MAX_THREADS = 2
# Small, so that a few messages break each bound.
RULE = RetentionRule(max_messages=6, max_age_s=1000.0, max_bytes=6 * weight_of(b"x" * 40))
OPTIONS: dict[str, Any] = {"default_rule": RULE, "idempotency_window_s": WINDOW_S, "max_threads": MAX_THREADS}
TOPICS = ("tests/w1/chat", "tests/w1/@bob")
CLIENTS = ("alice", "bob")

topics = st.sampled_from(TOPICS)
clients = st.sampled_from(CLIENTS)
shares = st.sampled_from([0.0, 0.3, 0.6, 1.0])
ids = st.sampled_from([f"i{number}" for number in range(5)])
datas = st.sampled_from([b"{}", b"x" * 40, b"y" * 300, b"z" * 3000])
thread_ids = st.sampled_from(["", "", "t1", "t2", "t3"])
limits = st.sampled_from([1, 2, 3, 1000])
sizes = st.sampled_from([1, 2 * weight_of(b"x" * 40), UNBOUNDED])
drawn_messages = st.tuples(topics, clients, ids, datas)


class EngineAgainstModel(RuleBasedStateMachine):
    """One store; the engine on it is closed, replaced and crashed between commands. `make` makes the bench of an order."""

    def __init__(self, make: Callable[[Path], CrashingBench]) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.bench = make(Path(self._folder.name))
        self.topics = {name: Topic(name, RULE) for name in TOPICS}
        self.threads = Threads(MAX_THREADS)
        self.fresh = 0
        self.user: EngineUser = self.run(self.bench.open(**OPTIONS))
        self.subscribed: set[str] = set()

    def teardown(self) -> None:
        try:
            self.run(self.bench.close_all())
        finally:
            self._runner.close()
            self._folder.cleanup()

    def run(self, answer: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await answer

        return self._runner.run(awaited())

    def on_the_loop(self, command: Callable[[], None]) -> None:
        """Give a command that has no answer."""

        async def given() -> None:
            command()

        self.run(given())

    @property
    def now_ms(self) -> int:
        return int(self.bench.clock.now() * 1000)

    # Appends.

    @rule(drawn=drawn_messages, thread_id=thread_ids)
    def append(self, drawn: tuple[str, str, str, bytes], thread_id: str) -> None:
        """Perhaps under an id that was used before."""
        self._append(_message(*drawn, thread_id))

    def _append(self, message: NewMessage) -> None:
        fields = message._asdict()
        stored = self.run(self.user.append(**fields))
        self.topics[message.topic].append(message, stored, self.now_ms, int(WINDOW_S * 1000))

    @rule(drawn=st.lists(drawn_messages, min_size=2, max_size=9))
    def append_at_once(self, drawn: list[tuple[str, str, str, bytes]]) -> None:
        """As a group: the same id may be in it twice."""
        messages = [_message(*each) for each in drawn]

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*[self.user.submit(**message._asdict()) for message in messages])

        for message, stored in zip(messages, self.run(all_of_them()), strict=True):
            self.topics[message.topic].append(message, stored, self.now_ms, int(WINDOW_S * 1000))

    # Reads.

    @rule(topic=topics, after=st.integers(0, 30), limit=limits, max_bytes=sizes)
    def read(self, topic: str, after: int, limit: int, max_bytes: int) -> None:
        model, page = self.topics[topic], self.run(self.user.read(topic, after, limit, max_bytes))
        if model.epoch:
            model.check_page(page, after, limit, max_bytes)
        else:
            assert (page.epoch, page.head, page.low, list(page.messages), page.more) == ("", 0, 0, [], False)

    @rule(topic=topics, count=limits, max_bytes=sizes)
    def read_last(self, topic: str, count: int, max_bytes: int) -> None:
        if self.topics[topic].epoch:
            self.topics[topic].check_last(self.run(self.user.last(topic, count, max_bytes)), count, max_bytes)

    # Subscriptions.

    @rule(topic=topics)
    def subscribe(self, topic: str) -> None:
        position = self.run(self.user.subscribe(topic))
        self.topics[topic].see_epoch(position.epoch)
        assert position.offset == self.topics[topic].head
        self.subscribed.add(topic)

    @rule(topic=topics)
    def unsubscribe(self, topic: str) -> None:
        self.on_the_loop(lambda: self.user.engine.unsubscribe(topic))
        self.subscribed.discard(topic)
        self.user.events = [event for event in self.user.events if event.topic != topic]

    @invariant()
    def deliveries_are_exact(self) -> None:
        """Who subscribed is given each message once, in order, as it is stored."""
        for topic in self.topics.values():
            if topic.name in self.subscribed:
                self.run(self.user.until(lambda topic=topic: self._arrived(topic), "everything is delivered"))
            else:
                assert not self.user.messages(topic.name)

    def _seen(self, topic: Topic) -> int:
        """Return up to where the listener was given a topic; fail if it was given anything else."""
        at: int | None = None
        for event in self.user.events:
            if event.topic != topic.name or event.kind == "stored":
                continue
            if event.kind == "subscribed":
                assert at in (None, event.offset)
                at = event.offset
            elif event.kind == "renewed":
                position, lossless = event.of
                assert lossless, f"nothing was lost: {position}"
                assert event.offset == at
            else:
                assert at is not None
                at = max(at + 1, min(event.offset, self._lost_for_ever(topic) + 1))
                assert event.offset == at, f"at {at} of {topic.head}: {self._given(topic)}"
                self._check_delivery(topic, at, event.of)
        return at or 0

    def _arrived(self, topic: Topic) -> bool:
        return max(self._seen(topic), self._lost_for_ever(topic)) >= topic.head

    def _lost_for_ever(self, topic: Topic) -> int:
        """Return up to where a listener may find nothing: what a crash kept from it is read later, if it is kept so long."""
        return topic.may_be_gone if self.bench.epochs_may_change else 0

    def _given(self, topic: Topic) -> list[tuple[str, int]]:
        """Return every callback of a topic."""
        return [(event.kind, event.offset) for event in self.user.events if event.topic == topic.name]

    @staticmethod
    def _check_delivery(topic: Topic, offset: int, message: StoredMessage) -> None:
        assert message._replace(epoch="") == topic.messages[offset - 1]._replace(epoch="")

    # Acknowledgements.

    @rule(topic=topics, client=clients, share=shares, baseline=st.booleans())
    def acknowledge(self, topic: str, client: str, share: float, baseline: bool) -> None:
        model = self.topics[topic]
        if model.epoch:
            offset = round(model.head * share)
            position = Position(model.epoch, offset)
            self.on_the_loop(lambda: self.user.engine.acknowledge(topic, client, position, baseline=baseline))
            model.acknowledge(client, offset, baseline=baseline)

    @rule(topic=topics, share=shares)
    def look_at_acknowledgements(self, topic: str, share: float) -> None:
        model = self.topics[topic]
        if model.epoch:  # it may have changed, and the positions say so
            model.see_epoch(self.run(self.user.read(topic)).epoch)
        for client in CLIENTS:
            position, expected = self.run(self.user.acknowledged(client, topic)), model.acks.get(client)
            assert (None if position is None else position.offset) == (None if expected is None else expected.offset)
            assert position is None or position.epoch in {model.epoch, *model.formers}
        offset = 1 + round(model.head * share)
        assert self.run(self.user.counts(offset, topic=topic)) == [model.acknowledged(offset)]

    # Threads.

    @rule(thread_id=st.sampled_from(["t1", "t2", "t3"]), title=st.sampled_from(["one", "another"]))
    def create_thread(self, thread_id: str, title: str) -> None:
        known = self.threads.find(thread_id)
        try:
            made, existed = self.run(self.user.create_thread(thread_id, title=title))
        except LimitExceeded:
            assert known is None
            assert self.threads.full
            return
        assert existed == (known is not None)
        if known is None:
            assert not self.threads.full
            known = a_thread(thread_id, title=title, create_time_ms=self.now_ms)
            self.threads.made.append(known)
        self._check_thread(made)

    def _check_thread(self, thread: Any) -> None:
        expected = self.threads.find(thread.thread_id)
        assert expected == thread._replace(message_count=0, last_message_time_ms=0)
        everything, kept = messages_of(list(self.topics.values()), thread.thread_id)
        assert len(kept) <= thread.message_count <= len(everything)
        if len(kept) == len(everything):
            assert thread.last_message_time_ms == max((message.time_ms for message in everything), default=0)

    @rule(limit=st.sampled_from([1, 2, 100]))
    def list_threads(self, limit: int) -> None:
        found, token = [], 0
        while True:
            page = self.run(self.user.engine.threads("tests", "w1", limit, token))
            found += page.threads
            assert page.total == len(self.threads.made)
            if not page.next_token:
                break
            token = page.next_token
        assert [thread.thread_id for thread in found] == [thread.thread_id for thread in self.threads.made[::-1]]
        for thread in found:
            self._check_thread(thread)

    @rule(thread_id=st.sampled_from(["t1", "t2"]), limit=st.sampled_from([1, 3, 100]))
    def read_thread(self, thread_id: str, limit: int) -> None:
        """In each channel in order; what retention has let go may be missing."""
        found: list[StoredMessage] = []
        token = 0
        while True:
            page = self.run(self.user.engine.thread_messages("tests", "w1", thread_id, limit, token))
            found += page.messages
            if not page.next_token:
                break
            token = page.next_token
        everything, kept = messages_of(list(self.topics.values()), thread_id)
        places = [(message.topic, message.offset) for message in found]
        assert len(set(places)) == len(places)
        assert {(message.topic, message.offset) for message in kept} <= set(places)
        expected = [message for message in everything if (message.topic, message.offset) in places]
        for name in TOPICS:
            assert _without_epochs(found, name) == _without_epochs(expected, name)

    # Time and retention.

    @rule(seconds=st.sampled_from([1.0, 250.0, 301.0, 900.0]))
    def time_passes(self, seconds: float) -> None:
        self.bench.clock.pass_s(seconds)

    @rule(topic=topics)
    def retention_is_applied(self, topic: str) -> None:
        """What breaks the rule now is gone in the end, and known to be gone."""
        model = self.topics[topic]
        if model.epoch:
            self._note_time()
            page = self.run(self.user.maintained(topic, model.may_be_gone))
            assert page.low == model.may_be_gone
            model.check_page(page, 0, 1000, UNBOUNDED)

    @invariant()
    def _note_time(self) -> None:
        for topic in self.topics.values():
            topic.note_time(self.now_ms)

    # Other lives.

    @rule()
    def close_and_open(self) -> None:
        self._next_life(self.run(self.bench.reopen(self.user, **OPTIONS)))

    @rule()
    def renew_epochs(self) -> None:
        """As after a backup was put back: every channel has another epoch, and nothing else changes."""
        self.run(self.user.close())
        self.run(self.bench.renew())
        before = {topic.name: topic.epoch for topic in self.topics.values() if topic.epoch}
        for name in before:
            self.topics[name].epoch_may_change = True
        self._next_life(self.run(self.bench.open(**OPTIONS)))
        for name, epoch in before.items():
            self.topics[name].check_page(self.run(self.user.read(name)), 0, 1000, UNBOUNDED)
            assert self.topics[name].epoch != epoch

    @precondition(lambda self: any(topic.epoch for topic in self.topics.values()))
    @rule(
        drawn=st.lists(st.tuples(topics, clients, datas), min_size=1, max_size=12),
        share=shares,
    )
    def crash(self, drawn: list[tuple[str, str, bytes]], share: float) -> None:
        """In the middle of appends. What was confirmed is there; what was not is sent again, and is there once."""
        messages = [_message(topic, client, self._fresh_id(), data) for topic, client, data in drawn]
        user, confirmed = self.run(self.bench.crash(self.user, messages, round(len(messages) * share), OPTIONS))
        if user is not self.user:
            self._next_life(user)
        for topic in self.topics.values():
            topic.epoch_may_change = self.bench.epochs_may_change or topic.epoch_may_change
        again = {
            message.id: self.run(self.user.stored_at_last(**message._asdict()))
            for message in messages
            if message.id not in confirmed
        }
        by_place = {(each.topic, {**confirmed, **again}[each.id].offset): each for each in messages}
        assert len(by_place) == len(messages), "two messages at one offset"
        for (name, offset), message in sorted(by_place.items()):
            topic, stored = self.topics[name], {**confirmed, **again}[message.id]
            assert offset == topic.head + 1, "a message is lost, or was stored twice"
            if message.id in again or not topic.epoch:
                topic.see_epoch(stored.epoch)
            topic.add(message, stored.time_ms)
        self._note_time()

    def _fresh_id(self) -> str:
        self.fresh += 1
        return f"fresh-{self.fresh}"

    def _next_life(self, user: EngineUser) -> None:
        """Go on in another life, which knows what was acknowledged in the one before."""
        self.user = user
        self.subscribed.clear()
        for topic in TOPICS:
            self.look_at_acknowledgements(topic, 0.5)


def _without_epochs(messages: list[StoredMessage], topic: str) -> list[StoredMessage]:
    return [message._replace(epoch="") for message in messages if message.topic == topic]


def _message(topic: str, client: str, message_id: str, data: bytes, thread_id: str = "") -> NewMessage:
    return NewMessage(topic, "chat_message", message_id, client, data, thread_id)


def orders(examples: int) -> settings:
    """Return how many orders are tried, and how."""
    chosen = int(EXAMPLES) if EXAMPLES else examples
    return settings(
        max_examples=chosen,
        stateful_step_count=STEPS,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that crashes."""
    made = RedisServer(tmp_path_factory.mktemp("crashing-redis"))
    made.start()
    yield made
    made.stop()


@pytest.mark.timeout(24 * 3600 if EXAMPLES else 300)
def test_sqlite() -> None:
    run_state_machine_as_test(lambda: EngineAgainstModel(CrashingSqlite), settings=orders(100))


@pytest.mark.timeout(24 * 3600 if EXAMPLES else 300)
def test_redis(server: RedisServer) -> None:
    run_state_machine_as_test(
        lambda: EngineAgainstModel(lambda folder: CrashingRedis(folder, server)), settings=orders(15)
    )
