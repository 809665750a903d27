"""Makes Redis say who is present in this process: what changed goes in groups, what failed goes again.

A topic is put into the list of this service's topics before its first client enters, so that whoever drops what a dead
service left finds it. Out of the list it goes a while after its last client.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Final

from session_service.adapters.cluster_redis.lease import Lease
from session_service.adapters.cluster_redis.words import Words
from session_service.adapters.metrics_prometheus import ClusterMetrics
from session_service.adapters.redis_access.asking import Lanes, Reply
from session_service.adapters.redis_access.commands import Command
from session_service.core.errors import EngineTimeout, SessionError
from session_service.core.model import Member
from session_service.core.presence_notes import Batch, Outcome, PresenceNotes

MAX_UNDER_WAY: Final = 256
CLIENTS_AT_ONCE: Final = 200
TOPICS_AT_ONCE: Final = 500
FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 2.0
IDLE_S: Final = 30.0
MAX_IDLE: Final = 100_000


class PresenceWriter:
    """Tells Redis.

    Args:
        lanes: Where commands go.
        words: Names and commands.
        lease: Nothing is said while it may be over.
        metrics: Counters.
        on_left: Called when nobody is in a topic any more, and Redis knows.
    """

    def __init__(
        self, lanes: Lanes, words: Words, lease: Lease, metrics: ClusterMetrics, on_left: Callable[[str], None]
    ) -> None:
        self.notes = PresenceNotes()
        self._lanes = lanes
        self._words = words
        self._lease = lease
        self._metrics = metrics
        self._on_left = on_left
        self._unlisted: dict[str, None] = {}
        self._ready: dict[str, None] = {}
        self._failed: dict[str, None] = {}
        self._held: dict[str, asyncio.TimerHandle] = {}
        self._listed: set[str] = set()
        self._idle: dict[str, float] = {}
        self._under_way = 0
        self._listing = False
        self._pause_s = FIRST_PAUSE_S
        self._flushing: asyncio.Handle | None = None
        self._retrying: asyncio.TimerHandle | None = None
        self._open = True

    def close(self) -> None:
        """Say nothing more: what was said stays until the lease is over, or another service says it too."""
        self._open = False
        for handle in (self._flushing, self._retrying, *self._held.values()):
            if handle is not None:
                handle.cancel()

    def come(self, topic: str, member: Member) -> None:
        """Note that a client is present."""
        self._idle.pop(topic, None)
        self.notes.come(topic, member)
        self._say_soon(topic)

    def go(self, topic: str, client_id: str) -> None:
        """Note that a client is not present."""
        self.notes.go(topic, client_id)
        self._go_on(topic)

    def hold(self, topic: str, at_most_s: float) -> None:
        """Say nothing of a topic until it is released, or so many seconds are over."""
        if topic not in self._held:
            self._held[topic] = asyncio.get_running_loop().call_later(at_most_s, self.release, topic)

    def release(self, topic: str) -> None:
        """Hold a topic no longer. Idempotent."""
        timer = self._held.pop(topic, None)
        if timer is not None:
            timer.cancel()
            self._say_soon(topic)

    def repeat(self, topic: str) -> None:
        """Say everything of a topic again."""
        self.notes.repeat(topic)
        self._say_soon(topic)

    def repeat_all(self) -> None:
        """Say everything again, in the name that the lease has now."""
        self.list_again()
        for topic in self.notes.topics():
            self.repeat(topic)

    def list_again(self) -> None:
        """Have every topic listed again."""
        self._listed.clear()
        self._idle.clear()
        self._ready.clear()
        for topic in self.notes.topics():
            self._say_soon(topic)

    def flush(self) -> None:
        """Say what is to be said, if the lease holds; else a heartbeat comes first."""
        self._flushing = None
        if not self._open or not self._lease.holds:
            return
        self._list()
        for topic in list(islice(self._ready, MAX_UNDER_WAY - self._under_way)):
            del self._ready[topic]
            if topic not in self._held:
                self._say(topic)
        if self._ready and self._under_way < MAX_UNDER_WAY:
            self._flush_soon()

    def sweep(self) -> None:
        """Take topics out of the list that nobody has been in for a while."""
        over_s = time.monotonic() - IDLE_S
        key = self._words.topics_of(self._lease.service)
        while topics := self._long_idle(over_s):
            self._lanes.submit(Command(key, ("SREM", key, *topics)), partial(self._were_unlisted, topics))

    def _long_idle(self, over_s: float) -> list[str]:
        """Take topics out of the notes that are idle since then, or too many."""
        topics: list[str] = []
        for topic, since_s in islice(self._idle.items(), TOPICS_AT_ONCE):
            if since_s >= over_s and len(self._idle) - len(topics) <= MAX_IDLE:
                break
            topics.append(topic)
        for topic in topics:
            del self._idle[topic]
            self._listed.discard(topic)
        return topics

    # Saying.

    def _say_soon(self, topic: str) -> None:
        if not self._open or topic in self._held:
            return
        if topic not in self._failed:
            (self._ready if topic in self._listed else self._unlisted)[topic] = None
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self._flushing is None and self._open:
            self._flushing = asyncio.get_running_loop().call_soon(self.flush)

    def _say(self, topic: str) -> None:
        batch = self.notes.take(topic, CLIENTS_AT_ONCE)
        if batch is None:
            if self.notes.release(topic):
                self._let_go(topic)
            return
        self._under_way += 1
        commands = self._words.tell(batch, self._lease.service)
        replies: list[Reply | SessionError] = []
        for command in commands:
            self._lanes.submit(command, partial(self._said, batch, replies, len(commands)))

    def _said(
        self, batch: Batch, replies: list[Reply | SessionError], wanted: int, reply: Reply | SessionError
    ) -> None:
        replies.append(reply)
        if len(replies) < wanted:
            return
        self._under_way -= 1
        outcome = _outcome(replies)
        self.notes.settle(batch, outcome)
        if outcome is Outcome.DONE:
            self._pause_s = FIRST_PAUSE_S
        else:
            self._metrics.retries.inc()
            self._failed[batch.topic] = None
            self._retry_later()
        self._go_on(batch.topic)
        self._flush_soon()

    def _go_on(self, topic: str) -> None:
        if self.notes.release(topic):
            self._let_go(topic)
        else:
            self._say_soon(topic)

    def _let_go(self, topic: str) -> None:
        """Forget a topic of which nothing is noted, but not yet that it is listed."""
        for topics in (self._unlisted, self._ready, self._failed):
            topics.pop(topic, None)
        timer = self._held.pop(topic, None)
        if timer is not None:
            timer.cancel()
        if topic in self._listed:
            self._idle[topic] = time.monotonic()
        self._on_left(topic)

    def _retry_later(self) -> None:
        """Try what failed again, all of it together, later each time and never all services at once."""
        if self._retrying is None and self._open:
            delay_s = self._pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
            self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)
            self._retrying = asyncio.get_running_loop().call_later(delay_s, self._retry)

    def _retry(self) -> None:
        self._retrying = None
        failed, self._failed = self._failed, {}
        for topic in failed:
            self._say_soon(topic)

    # The list of topics.

    def _list(self) -> None:
        if self._listing:
            return
        topics = list(islice(self._unlisted, TOPICS_AT_ONCE))
        if topics:
            self._listing = True
            service = self._lease.service
            key = self._words.topics_of(service)
            self._lanes.submit(Command(key, ("SADD", key, *topics)), partial(self._are_listed, service, topics))

    def _are_listed(self, service: str, topics: list[str], reply: Reply | SessionError) -> None:
        self._listing = False
        if isinstance(reply, SessionError):
            for topic in topics:
                if self._unlisted.pop(topic, self) is None:
                    self._failed[topic] = None
            self._retry_later()
        elif service == self._lease.service:
            self._listed.update(topics)
            for topic in topics:
                if self._unlisted.pop(topic, self) is None:
                    self._ready[topic] = None
                else:  # everybody has gone meanwhile
                    self._idle[topic] = time.monotonic()
        self._flush_soon()

    def _were_unlisted(self, topics: list[str], reply: Reply | SessionError) -> None:
        """If nobody knows when the list forgets these topics, those in use are put there again."""
        if isinstance(reply, EngineTimeout):
            self._listed.difference_update(topics)
            for topic in topics:
                self.repeat(topic)


def _outcome(replies: list[Reply | SessionError]) -> Outcome:
    faults = [reply for reply in replies if isinstance(reply, SessionError)]
    if not faults:
        return Outcome.DONE
    if len(faults) == len(replies) and all(fault.safe_to_repeat for fault in faults):
        return Outcome.NOT_DONE
    return Outcome.UNKNOWN
