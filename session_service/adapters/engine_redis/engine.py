"""The distributed engine: Redis 7 orders, stores and publishes, for any number of session services.

It may be one server, a Sentinel group or a Cluster (`redis_access/servers.py`).

One script stores a message: idempotency, offset, stream entry and PUBLISH are one atomic step. A channel is a stream whose
entry ids are its offsets: the one type that is read by range in logarithmic time, trimmed at its old end, and appended to in
constant time. Appends of a tick go in one pipeline (`redis_access/lane.py`). A subscription is exact (`feeds.py`): its
position is read in the order of commands, and whatever pub/sub did not bring, because it was not subscribed yet or had been
cut, is read from the stream before anything later is delivered.

Faults. `EngineUnavailable`, not stored: no connection; nothing was sent in time; the server refused (READONLY, LOADING, OOM,
MISCONF and the like). `EngineTimeout`, perhaps stored: the connection ended or time was over after the command was sent; too
few replicas had it (`wait_replicas`); it is stored but could not be put into its thread. Publishing again with the same id is
safe. What Redis keeps over its own crash is its operator's choice: `appendonly yes` with `appendfsync always` loses nothing
confirmed. It must not evict (`maxmemory-policy noeviction`). When another server process takes over that may lack the
newest messages, channels get another epoch, which knows up to where it is the same as the one before
(`redis_access/scripts/epochs.lua`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from session_service.adapters.engine_redis.acks import Acks
from session_service.adapters.engine_redis.feeds import Feeds
from session_service.adapters.engine_redis.queries import Queries, Stretch, reference_of
from session_service.adapters.metrics_prometheus import EngineMetrics
from session_service.adapters.redis_access.asking import Lanes, Reply
from session_service.adapters.redis_access.commands import (
    MAX_NUMBER,
    MAX_THREAD_REFERENCES,
    POSITION,
    THREAD_ADD,
    THREAD_CREATE,
    Names,
    Part,
    RedisSettings,
    append_command,
    decode_published,
)
from session_service.adapters.redis_access.pubsub import Listening
from session_service.adapters.redis_access.servers import RedisServers
from session_service.core.canary import is_canary
from session_service.core.errors import EngineTimeout, EngineUnavailable, LimitExceeded, SessionError
from session_service.core.model import (
    NewMessage,
    Page,
    Position,
    Stored,
    StoredMessage,
    Thread,
    ThreadMessages,
    ThreadPage,
)
from session_service.core.ports import EngineListener, OnStored, OnSubscribed

LOOK_AGAIN_S: Final = 0.25
MAX_WAITING: Final = 2_000_000
MAX_WAITING_READS: Final = 4000
GROUP: Final = 512
READ_GROUP: Final = 16
FILL_MESSAGES: Final = 500
FILL_BYTES: Final = 4 * 1024 * 1024
CLOSED: Final = "the message store is closed"


class _Append:
    __slots__ = ("message", "on_stored", "result")

    def __init__(self, message: NewMessage, on_stored: OnStored) -> None:
        self.message = message
        self.on_stored = on_stored
        self.result: Stored | SessionError | None = None


class _Subscription:
    __slots__ = ("on_subscribed", "wanted")

    def __init__(self, on_subscribed: OnSubscribed) -> None:
        self.on_subscribed = on_subscribed
        self.wanted = True


class RedisEngine:
    """An engine for many processes on one Redis.

    Args:
        settings: The server, and how to work on it.
        timeout_s: Seconds until a command counts as failed; some take half as long again.
        max_pending: Appends that may wait for their answer.
        max_pending_bytes: Bytes of data that may wait.
        metrics: Counters.
    """

    def __init__(
        self,
        settings: RedisSettings,
        *,
        timeout_s: float = 5.0,
        max_pending: int = 50_000,
        max_pending_bytes: int = 64 * 1024 * 1024,
        metrics: EngineMetrics,
    ) -> None:
        self._settings = settings
        self._names = Names(settings.namespace)
        self._timeout_s = timeout_s
        self._max_pending = max_pending
        self._max_pending_bytes = max_pending_bytes
        self._metrics = metrics
        self._open = False
        self._pending: deque[_Append] = deque()
        self._pending_bytes = 0
        metrics.pending.set_function(lambda: len(self._pending))
        self._subscribing: dict[str, list[_Subscription]] = {}
        self._servers = RedisServers(settings.address, timeout_s=timeout_s, wait_replicas=settings.wait_replicas)
        self._lane: Lanes
        self._reads: Lanes
        self._pubsub: Listening
        self._acks: Acks
        self._feeds: Feeds
        self._queries: Queries

    @property
    def servers(self) -> RedisServers:
        """Where the store is, for who shares it; started and closed with the engine."""
        return self._servers

    async def start(self, listener: EngineListener) -> None:
        """Connect; raises EngineUnavailable."""
        await self._servers.start()
        self._lane = self._servers.lanes(max_waiting=MAX_WAITING, max_group=GROUP, on_group=self._note_group)
        self._reads = self._servers.lanes(max_waiting=MAX_WAITING_READS, max_group=READ_GROUP)
        self._acks = Acks(self._lane, self._names, self._metrics)
        self._queries = Queries(self._reads, self._names, self._settings)
        self._feeds = Feeds(listener, self._read_on, self._metrics)
        self._pubsub = self._servers.listening(self)
        try:
            await self._lane.start()
            await self._reads.start()
        except SessionError:
            await self._lane.close()
            await self._servers.close()
            raise
        self._pubsub.start()
        self._open = True

    async def close(self) -> None:
        """Finish what was taken, then hang up. Idempotent."""
        if not self._open:
            return
        self._acks.close()
        self._open = False
        await self._lane.close()
        self._settle()
        await self._pubsub.close()
        await self._feeds.close()
        await self._reads.close()
        await self._servers.close()

    def listen_anew(self) -> None:
        """Replace the connections that listen; what they missed is read from the streams."""
        self._pubsub.begin_anew()

    # Appends.

    def append(self, message: NewMessage, on_stored: OnStored) -> None:
        """Store a message; see `Engine.append`."""
        if not self._open:
            on_stored(EngineUnavailable(CLOSED))
            return
        size = len(message.data)
        if len(self._pending) >= self._max_pending or self._pending_bytes + size > self._max_pending_bytes:
            self._metrics.refused.inc()
            on_stored(LimitExceeded("too many messages wait to be stored"))
            return
        append = _Append(message, on_stored)
        self._pending.append(append)
        self._pending_bytes += size
        command = append_command(self._names, self._settings, self._servers.publish_word, message)
        self._lane.submit(command, partial(self._appended, append), waits=True)

    def _appended(self, append: _Append, reply: Reply | SessionError) -> None:
        if isinstance(reply, SessionError):
            self._metrics.errors.inc()
            self._finish(append, reply)
            return
        message = append.message
        stored = Stored(reply[0].decode(), int(reply[1]), int(reply[2]), bool(reply[3]))
        if stored.duplicate:
            self._metrics.duplicates.inc()
        else:
            self._metrics.appended.inc()
            # Not so canaries: they prove that pub/sub works.
            if not is_canary(message.topic):
                self._feeds.offer(
                    StoredMessage(message.topic, message.type, message.id, message.client_id, *stored[:3], message.data)
                )
        # Of a repeat, thread and epoch that the message was stored with count: so it stands in its thread once.
        if reply[4]:
            self._add_to_thread(append, stored, reply[4].decode(), reply[5].decode())
        else:
            self._finish(append, stored)

    def _add_to_thread(self, append: _Append, stored: Stored, thread_id: str, epoch: str) -> None:
        message = append.message
        domain, workspace, _ = message.topic.split("/", 2)
        keys = self._names.thread(domain, workspace, thread_id)
        reference = reference_of(message.topic, epoch, stored.offset)
        self._lane.submit(
            THREAD_ADD.call((keys.references, keys.times), thread_id, reference, stored.time_ms, MAX_THREAD_REFERENCES),
            lambda reply: self._finish(append, _unless_failed(reply, stored)),
            waits=True,
        )

    def _finish(self, append: _Append, result: Stored | SessionError) -> None:
        append.result = result
        self._settle()

    def _settle(self) -> None:
        """Answer what is done, in the order of the appends."""
        while self._pending and (result := self._pending[0].result) is not None:
            append = self._pending.popleft()
            self._pending_bytes -= len(append.message.data)
            append.on_stored(result)

    def _note_group(self, size: int, seconds: float) -> None:
        self._metrics.group_size.observe(size)
        self._metrics.append_seconds.observe(seconds)

    # Subscriptions.

    def subscribe(self, topic: str, on_subscribed: OnSubscribed) -> None:
        """Subscribe to a topic; see `Engine.subscribe`."""
        if not self._open:
            on_subscribed(EngineUnavailable(CLOSED))
            return
        subscription = _Subscription(on_subscribed)
        self._subscribing.setdefault(topic, []).append(subscription)
        self._ask_position(topic, Position("", 0), partial(self._subscribed, topic, subscription))

    def unsubscribe(self, topic: str) -> None:
        """Unsubscribe from a topic. Idempotent."""
        for subscription in self._subscribing.pop(topic, ()):
            subscription.wanted = False
        if self._open:
            self._feeds.end(topic)
            self._pubsub.remove(self._names.channel(topic))

    def _ask_position(self, topic: str, seen: Position, done: Callable[[Position | SessionError], None]) -> None:
        command = POSITION.call(
            (self._names.key(topic, "meta"),), self._settings.new_epoch(), seen.epoch, min(seen.offset, MAX_NUMBER)
        )
        self._lane.submit(command, lambda reply: done(_position(reply)))

    def _subscribed(self, topic: str, subscription: _Subscription, result: Position | SessionError) -> None:
        if subscription.wanted:
            under_way = self._subscribing[topic]
            under_way.remove(subscription)
            if not under_way:
                del self._subscribing[topic]
            if isinstance(result, Position):
                result = self._feeds.begin(topic, result)
                self._pubsub.add(self._names.channel(topic))
        subscription.on_subscribed(result)

    def on_published(self, channel: bytes, payload: bytes) -> None:
        """Take what pub/sub brings."""
        self._feeds.offer(decode_published(self._names.topic_of(channel), payload))

    def on_heard(self, channel: bytes) -> None:
        """Look what came before a channel was subscribed, since the position that its users have."""
        topic = self._names.topic_of(channel)
        seen = self._feeds.seen(topic)
        if seen is not None and self._open:
            self._ask_position(topic, seen, partial(self._looked, topic))

    def _looked(self, topic: str, result: Position | SessionError) -> None:
        if isinstance(result, Position):
            self._feeds.look(topic, result)
        elif self._open:
            asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self.on_heard, self._names.channel(topic).encode())

    async def _read_on(self, topic: str, after: int) -> Stretch:
        return await self._queries.read(topic, after, FILL_MESSAGES, FILL_BYTES)

    # Acknowledgements.

    def acknowledge(self, topic: str, client_id: str, position: Position, *, baseline: bool = False) -> None:
        """Note what a client has seen; see `Engine.acknowledge`."""
        self._acks.note(topic, client_id, position, baseline=baseline)

    async def acknowledged(self, topic: str, client_id: str) -> Position | None:
        """Return a client's last acknowledged position."""
        self._check_open()
        await self._acks.saved(topic)
        return await self._queries.acknowledged(topic, client_id)

    async def count_acknowledged(self, topic: str, offset: int) -> int:
        """Return how many clients acknowledged a message."""
        self._check_open()
        await self._acks.saved(topic)
        return await self._queries.count_acknowledged(topic, offset)

    # Reads and threads.

    def _check_open(self) -> None:
        if not self._open:
            raise EngineUnavailable(CLOSED)

    async def read(self, topic: str, after: int, limit: int, max_bytes: int) -> Page:
        """Read messages after an offset; see `Engine.read`."""
        self._check_open()
        return (await self._queries.read(topic, after, limit, max_bytes)).page

    async def last(self, topic: str, count: int, max_bytes: int) -> Page:
        """Read the newest messages; see `Engine.last`."""
        self._check_open()
        return await self._queries.last(topic, count, max_bytes)

    async def create_thread(self, thread: Thread) -> tuple[Thread, bool]:
        """Store a thread; see `Engine.create_thread`."""
        self._check_open()
        keys = self._names.thread(thread.domain, thread.workspace, thread.thread_id)
        fields: tuple[Part, ...] = (
            *("title", thread.title, "channel", thread.channel),
            *("created_by", thread.created_by, "metadata", thread.metadata),
        )
        command = THREAD_CREATE.call(keys, self._settings.now(), self._settings.max_threads, thread.thread_id, *fields)
        existed = await self._lane.ask(command, waits=True)
        if existed < 0:
            raise LimitExceeded(f"a workspace may have {self._settings.max_threads} threads")
        stored = await self._queries.thread(thread.domain, thread.workspace, thread.thread_id)
        if stored is None:
            raise EngineUnavailable
        return stored, bool(existed)

    async def thread(self, domain: str, workspace: str, thread_id: str) -> Thread | None:
        """Return a thread."""
        self._check_open()
        return await self._queries.thread(domain, workspace, thread_id)

    async def threads(self, domain: str, workspace: str, limit: int, token: int) -> ThreadPage:
        """Return threads, newest first."""
        self._check_open()
        return await self._queries.threads(domain, workspace, limit, token)

    async def thread_messages(
        self, domain: str, workspace: str, thread_id: str, limit: int, token: int
    ) -> ThreadMessages:
        """Return a thread's messages."""
        self._check_open()
        return await self._queries.thread_messages(domain, workspace, thread_id, limit, token)


def _position(reply: Reply | SessionError) -> Position | SessionError:
    return reply if isinstance(reply, SessionError) else Position(reply[0].decode(), int(reply[1]))


def _unless_failed(reply: Reply | SessionError, stored: Stored) -> Stored | SessionError:
    """A message that is stored but in no thread yet is perhaps stored: who repeats it repairs it."""
    return EngineTimeout() if isinstance(reply, SessionError) else stored
