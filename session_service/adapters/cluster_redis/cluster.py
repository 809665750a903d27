"""Session services on one Redis as one cluster: who is present where, orders to disconnect, counts of receipts.

Each channel has a hash: who is present, and on which services (`redis_access/scripts/presence.lua`). Scripts change it
and publish the change in one step. Every service has a lease (`lease.py`); what a dead one left the others drop
(`reaper.py`). A service notes who came and went on its own edges and tells Redis until Redis has it (`writer.py`), again
when its lease was lost, and again when a channel is heard anew: then the server may be another, that lacks something.
What watchers are told comes from Redis alone (`views.py`). Everything here has connections of its own, so that many who
come and go delay no message.

A service listens to the changes of every channel in which it has members, not only of those with watchers: so whoever begins
to watch misses nothing, and a server that has lost a channel's presence is noticed without looking.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from service_runtime.logs import get_logger
from session_service.adapters.cluster_redis.lease import Lease
from session_service.adapters.cluster_redis.members import Members
from session_service.adapters.cluster_redis.questions import Questions
from session_service.adapters.cluster_redis.reaper import Reaper
from session_service.adapters.cluster_redis.views import PresenceViews
from session_service.adapters.cluster_redis.words import (
    DisconnectQuestion,
    MalformedWords,
    Question,
    Words,
    WrittenQuestion,
    decode_changes,
    process_of,
)
from session_service.adapters.cluster_redis.writer import PresenceWriter
from session_service.adapters.metrics_prometheus import ClusterMetrics
from session_service.adapters.redis_access.asking import Lanes
from session_service.adapters.redis_access.pubsub import Listening
from session_service.adapters.redis_access.servers import RedisServers
from session_service.core.errors import EngineUnavailable, SessionError
from session_service.core.hub import Hub
from session_service.core.model import Member
from session_service.core.ports import ClusterListener, DisconnectOrder

log = get_logger("session_service.cluster_redis")

MAX_WAITING: Final = 20_000
GROUP: Final = 64
GOODBYE_S: Final = 1.0
MAX_WAIT_HEARD_S: Final = 1.0
"""Joining a channel that is watched here, and not heard yet, is put off for at most so long."""


class SharedCluster:
    """Implements `Cluster` on Redis.

    Args:
        hub: The live state of this process.
        servers: Where Redis is; started before this is.
        process: Random for each process, without a `.`.
        namespace: Stands before every key.
        lease_s: Seconds after which a silent service counts as dead.
        metrics: Counters.
    """

    def __init__(
        self,
        hub: Hub,
        servers: RedisServers,
        *,
        process: str,
        namespace: str,
        lease_s: float,
        metrics: ClusterMetrics,
    ) -> None:
        self._hub = hub
        self._servers = servers
        self._process = process
        self._namespace = namespace
        self._lease_s = lease_s
        self._metrics = metrics
        self._open = False
        self._heard: dict[str, bool] = {}
        self._reap_from_s = 0.0
        self._listener: ClusterListener
        self._words: Words
        self._lanes: Lanes
        self._reads: Lanes
        self._listening: Listening
        self._lease: Lease
        self._writer: PresenceWriter
        self._members: Members
        self._views: PresenceViews
        self._questions: Questions
        self._reaper: Reaper

    async def start(self, listener: ClusterListener) -> None:
        """Take part; raises SessionError."""
        self._listener = listener
        words = self._words = Words(self._namespace, self._servers.publish_word)
        lanes = self._lanes = self._servers.lanes(max_waiting=MAX_WAITING, max_group=GROUP)
        self._reads = self._servers.lanes(max_waiting=MAX_WAITING, max_group=GROUP)
        self._listening = self._servers.listening(self)
        metrics = self._metrics
        self._lease = Lease(
            self._process, lanes, words, lease_s=self._lease_s, metrics=metrics, on_beat=self._after_beat
        )
        self._writer = PresenceWriter(lanes, words, self._lease, metrics, self._let_go)
        self._members = Members(self._reads, words, self._lease, self._writer.notes, metrics, patience_s=self._lease_s)
        self._views = PresenceViews(self._members.stored, self._tell, patience_s=self._lease_s)
        self._questions = Questions(self._process, lanes, words, metrics, self._answer)
        self._reaper = Reaper(self._reads, words, metrics)
        # Edges that were on a service that died before this one began need time to come here.
        self._reap_from_s = time.monotonic() + self._lease_s
        try:
            await lanes.start()
            await self._reads.start()
            await self._lease.start()
        except SessionError:
            await self._lease.close()
            await lanes.close()
            await self._reads.close()
            raise
        self._open = True
        self._views.start()
        self._listening.start()
        self._listening.add(words.questions)
        self._listening.add(words.answers(self._process))

    async def close(self) -> None:
        """Take part no longer; who was here stays for a moment, until another service has them. Idempotent."""
        if not self._open:
            return
        self._open = False
        self._writer.close()
        self._members.close()
        await self._reaper.close()
        await self._views.close()
        await self._lease.close()
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self._lease.shorten()
                await self._questions.say_farewell()
        except (TimeoutError, SessionError) as error:
            log.warning("other services do not know that this one ends", error=str(error))
        await self._listening.close()
        await asyncio.gather(self._lanes.close(), self._reads.close())

    # Presence.

    def entered(self, topic: str, member: Member, *, resumed: bool = False) -> None:
        """Say that a client came."""
        self._use(topic)
        self._writer.come(topic, member)

    def left(self, topic: str, member: Member) -> None:
        """Say that a client went."""
        self._writer.go(topic, member.client_id)

    def watched(self, topic: str) -> None:
        """Say that a member wants to be told who comes and goes."""
        self._use(topic)
        self._views.begin(topic)
        if not self._heard.get(topic):
            self._writer.hold(topic, MAX_WAIT_HEARD_S)

    async def members(self, topic: str) -> list[Member]:
        """Return the members by join time; raises SessionError."""
        return await self._members.listed(topic)

    def _let_go(self, topic: str) -> None:
        self._heard.pop(topic, None)
        self._views.end(topic)
        self._listening.remove(self._words.presence(topic))

    def _use(self, topic: str) -> None:
        if topic not in self._heard and self._open:
            self._heard[topic] = False
            self._listening.add(self._words.presence(topic))

    def _is_watched(self, topic: str) -> bool:
        channel = self._hub.channels.get(topic)
        return channel is not None and bool(channel.watching())

    def _tell(self, topic: str, member: Member, joined: bool) -> None:
        self._listener.on_presence(topic, member, joined=joined)

    # What is heard.

    def on_published(self, channel: bytes, payload: bytes) -> None:
        """Take what pub/sub brings."""
        topic = self._words.topic_of(channel)
        if topic is not None:
            self._take_changes(topic, payload)
        elif channel == self._words.questions.encode():
            self._questions.on_question(payload)
        else:
            self._questions.on_answer(payload)

    def on_heard(self, channel: bytes) -> None:
        """Note that a channel is heard, perhaps from another server: what is kept with it is said again."""
        topic = self._words.topic_of(channel)
        if topic is not None:
            self._topic_heard(topic)
        elif channel == self._words.questions.encode():
            self._questions.hear()
            self._lease.beat_soon()
        else:
            self._writer.list_again()

    def _topic_heard(self, topic: str) -> None:
        again = self._heard.get(topic)
        if again is None:
            return
        self._heard[topic] = True
        if again:
            self._writer.repeat(topic)
        else:
            self._writer.release(topic)
        self._views.heard(topic, again=again)

    def _take_changes(self, topic: str, payload: bytes) -> None:
        if not self._is_watched(topic):
            self._views.end(topic)
            return
        try:
            changes = decode_changes(payload)
        except MalformedWords:
            self._metrics.malformed.inc()
            return
        for change in changes:
            self._views.change(topic, change.member, joined=bool(change.joined))

    def _after_beat(self, was_lost: bool) -> None:
        """Say again what a lost lease took away, see that we are not deaf, and who is dead."""
        if was_lost:
            self._writer.repeat_all()
        self._writer.flush()
        self._writer.sweep()
        if not self._questions.say_hello():
            self._metrics.deaf.inc()
            self._listening.begin_anew()
        if time.monotonic() >= self._reap_from_s:
            self._reaper.reap(dead for dead in self._lease.dead if self._may_reap(dead))

    def _may_reap(self, service: str) -> bool:
        """Return if a dead service's entries may go: our own of an earlier lease only when all is said anew."""
        return process_of(service) != self._process or self._writer.notes.all_told

    # Questions.

    async def written(self, topic: str, offset: int) -> int:
        """Return how many members a message was sent to, as far as services answer; raises LimitExceeded."""
        question = WrittenQuestion(self._questions.new_ref(), self._process, topic, offset)
        total = await self._questions.ask(question, self._lease.others)
        return self._written_here(topic, offset) + total.found

    async def disconnect(self, order: DisconnectOrder) -> int:
        """Close a client's connections wherever they are; return how many.

        Raises:
            EngineUnavailable: none was found, and a service that may have some did not answer.
            LimitExceeded: too many questions are open.
        """
        here = self._listener.on_disconnect(order)
        try:
            await self._lease.beat()
        except SessionError:
            if here:
                return here
            raise
        total = await self._questions.ask(
            DisconnectQuestion(self._questions.new_ref(), self._process, order), self._lease.others
        )
        if not here + total.found and total.silent:
            raise EngineUnavailable("a session service does not answer; the client may be connected there")
        return here + total.found

    def _answer(self, question: Question) -> int:
        if isinstance(question, WrittenQuestion):
            return self._written_here(question.topic, question.offset)
        return self._listener.on_disconnect(question.order)

    def _written_here(self, topic: str, offset: int) -> int:
        channel = self._hub.channels.get(topic)
        return 0 if channel is None else channel.written(offset)
