"""What subscribed topics are given: each message once, in order, however Redis brings it.

A message comes by pub/sub, and our own come with the reply to their append, whichever is first. The next offset is delivered at
once. When offsets leave a gap, when a topic has another epoch than its subscribers, and whenever a topic was not heard for a
while, the rest is read from the stream before anything else is delivered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from service_runtime.logs import get_logger
from service_runtime.tasks import end_tasks
from session_service.adapters.engine_redis.queries import Stretch
from session_service.adapters.metrics_prometheus import EngineMetrics
from session_service.core.errors import SessionError
from session_service.core.model import Position, StoredMessage
from session_service.core.ports import EngineListener

log = get_logger("session_service.engine_redis")

GAP_GRACE_S: Final = 0.02
"""The reply to an append may overtake what pub/sub is about to bring."""
RETRY_S: Final = 0.25
MAX_HELD: Final = 1000

ReadStretch = Callable[[str, int], Awaitable[Stretch]]


class Feed:
    """Where one topic's subscribers stand. `held`: messages that came before one that is missing."""

    __slots__ = ("epoch", "filling", "held", "offset", "topic")

    def __init__(self, topic: str, position: Position) -> None:
        self.topic = topic
        self.epoch, self.offset = position
        self.held: dict[int, StoredMessage] = {}
        self.filling = False

    @property
    def position(self) -> Position:
        """What the subscribers have seen."""
        return Position(self.epoch, self.offset)


class Feeds:
    """Delivers subscribed topics.

    Args:
        listener: Who is given the messages.
        read: Reads what a topic has after an offset.
        metrics: Counters.
    """

    def __init__(self, listener: EngineListener, read: ReadStretch, metrics: EngineMetrics) -> None:
        self._listener = listener
        self._read = read
        self._metrics = metrics
        self._feeds: dict[str, Feed] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Deliver nothing more."""
        self._feeds.clear()
        await end_tasks(*self._tasks)

    def begin(self, topic: str, position: Position) -> Position:
        """Deliver a topic from a position on; return where it stands, which is further on if it is delivered already."""
        feed = self._feeds.get(topic)
        if feed is None or feed.epoch != position.epoch:
            feed = self._feeds[topic] = Feed(topic, position)
        elif feed.offset < position.offset:
            feed.offset = position.offset
            self._drain(feed)
        return feed.position

    def end(self, topic: str) -> None:
        """Deliver nothing more of a topic. Idempotent."""
        self._feeds.pop(topic, None)

    def seen(self, topic: str) -> Position | None:
        """Return what a topic's subscribers have seen."""
        feed = self._feeds.get(topic)
        return None if feed is None else feed.position

    def offer(self, message: StoredMessage) -> None:
        """Deliver a message if it is the next, and keep it if something is missing before it."""
        feed = self._feeds.get(message.topic)
        if feed is None:
            return
        if message.epoch != feed.epoch:
            self._fill_soon(feed, GAP_GRACE_S)
        elif message.offset == feed.offset + 1:
            self._deliver(feed, message)
            self._drain(feed)
        elif message.offset > feed.offset:
            if len(feed.held) < MAX_HELD:
                feed.held[message.offset] = message
            self._fill_soon(feed, GAP_GRACE_S)

    def look(self, topic: str, position: Position) -> None:
        """Compare with where the store says that a topic stands; read what is missing."""
        feed = self._feeds.get(topic)
        if feed is not None and (position.epoch != feed.epoch or position.offset > feed.offset):
            self._fill_soon(feed, 0.0)

    def _deliver(self, feed: Feed, message: StoredMessage) -> None:
        feed.offset = message.offset
        self._listener.on_message(message)

    def _drain(self, feed: Feed) -> None:
        while feed.held:
            message = feed.held.pop(feed.offset + 1, None)
            if message is None:
                feed.held = {offset: kept for offset, kept in feed.held.items() if offset > feed.offset}
                return
            self._deliver(feed, message)

    # Gaps.

    def _is_live(self, feed: Feed) -> bool:
        return self._feeds.get(feed.topic) is feed

    def _fill_soon(self, feed: Feed, after_s: float) -> None:
        if not feed.filling:
            feed.filling = True
            task = asyncio.create_task(self._fill(feed, after_s))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _fill(self, feed: Feed, after_s: float) -> None:
        try:
            await asyncio.sleep(after_s)
            while self._is_live(feed):
                try:
                    stretch = await self._read(feed.topic, feed.offset)
                except SessionError as error:
                    self._metrics.gap_reads_failed.inc()
                    log.warning("gap is not filled yet", error=str(error))
                    await asyncio.sleep(RETRY_S)
                    continue
                if not self._is_live(feed) or not self._take(feed, stretch):
                    return
        finally:
            feed.filling = False

    def _renew(self, feed: Feed, stretch: Stretch) -> None:
        """Go on in another epoch, after what it shares with the one that the subscribers know."""
        page = stretch.page
        shared = page.formers.get(feed.epoch)
        lossless = shared is not None and feed.offset <= shared
        feed.epoch = page.epoch
        feed.offset = stretch.start if shared is None else min(feed.offset, shared)
        feed.held.clear()
        self._listener.on_renewed(feed.topic, feed.position, lossless=lossless)

    def _take(self, feed: Feed, stretch: Stretch) -> bool:
        """Deliver what was read; return if there is more to read."""
        page = stretch.page
        if page.epoch != feed.epoch:
            if not page.epoch:
                return False
            self._renew(feed, stretch)
            return page.head > feed.offset
        before = feed.offset
        for message in page.messages:
            if message.offset > feed.offset:
                self._deliver(feed, message)
        self._metrics.gaps_filled.inc(feed.offset > before)
        feed.offset = max(feed.offset, page.low)
        self._drain(feed)
        return page.more
