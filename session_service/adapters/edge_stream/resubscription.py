"""Resubscriptions of one edge: after a reconnect, or when it found a gap, it gets what it missed and then goes on live.

While one is under way the edge is sent nothing else of that channel, and nobody joins there. One that fails is tried again
until it succeeds: meanwhile the edge's members of the channel hear nothing.
"""

from __future__ import annotations

import asyncio
from typing import Final

from tidewire.session.v1 import edge_stream_pb2 as pb

from service_runtime.logs import get_logger
from session_service.adapters import grpc_codec as codec
from session_service.adapters import replay
from session_service.adapters.edge_stream.replay import ReplayHolds
from session_service.adapters.edge_stream.replies import EdgeReplies
from session_service.adapters.live_channels import LiveChannels
from session_service.core.channel import Channel
from session_service.core.errors import InternalError, SessionError
from session_service.core.model import Position, RecoveryFailure
from session_service.core.sessions import Edge
from session_service.core.topic import parse_topic

log = get_logger("session_service.edge_resubscription")

RETRY_S: Final = 0.5
AT_ONCE: Final = 1000
"""Resubscriptions of one edge that may ask the engine at the same time."""


class Resubscriptions:
    """Carries out `resubscribe`.

    Args:
        live: Channels and engine.
        edge: Who is attached.
        replies: Where events go.
        holds: The end of the replay waits for the first attempt of each.
    """

    def __init__(self, live: LiveChannels, edge: Edge, replies: EdgeReplies, holds: ReplayHolds) -> None:
        self._live = live
        self._edge = edge
        self._replies = replies
        self._holds = holds
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(AT_ONCE)

    def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()

    def busy(self, *topics: str) -> asyncio.Task[None] | None:
        """Return a resubscription under way of one of the topics: until it ends, nobody joins there."""
        return next((task for topic in topics if (task := self._under_way.get(topic)) is not None), None)

    def begin(self, command: pb.Command) -> None:
        """Begin one; raises InvalidField."""
        wanted = command.resubscribe
        parse_topic(wanted.topic)
        self._live.hub.confirm(self._edge, wanted.topic, wanted.sessions)
        self._pause(wanted.topic)
        held = object()
        self._holds.hold(held)
        task = asyncio.get_running_loop().create_task(self._run(command, held, self._under_way.get(wanted.topic)))
        self._under_way[wanted.topic] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, command: pb.Command, held: object, earlier: asyncio.Task[None] | None) -> None:
        """Try until it succeeds; what the edge was given by a failed attempt it knows by its offset."""
        topic = command.resubscribe.topic
        try:
            if earlier is not None:
                await asyncio.wait([earlier])
                self._pause(topic)
            while not self._replies.closed:
                try:
                    async with self._places:
                        await self._catch_up(command, await self._channel(topic))
                    return
                except SessionError as error:
                    log.warning("resubscription failed", topic=topic, cause=str(error))
                    self._replies.count_failure()
                self._holds.release(held)
                await asyncio.sleep(RETRY_S)
        except Exception:
            log.exception("resubscription failed", topic=topic)
            self._replies.fail(command.ref, 0, InternalError())
        finally:
            if self._under_way.get(topic) is asyncio.current_task():
                del self._under_way[topic]
            self._holds.release(held)

    def _pause(self, topic: str) -> None:
        channel = self._live.hub.channels.get(topic)
        if channel is not None:
            channel.pause(self._edge)

    async def _channel(self, topic: str) -> Channel:
        """Return the channel, brought to life if need be; raises SessionError."""
        active: asyncio.Future[Channel] = asyncio.get_running_loop().create_future()

        def then(channel: Channel) -> None:
            if not active.done():
                active.set_result(channel)

        def failed(error: SessionError) -> None:
            if not active.done():
                active.set_exception(error)

        self._live.when_active(topic, then, failed)
        return await active

    async def _catch_up(self, command: pb.Command, channel: Channel) -> None:
        """Say where the edge goes on, send what it missed as deliveries, and make it live at the head in one step."""
        wanted = command.resubscribe
        channel.pins += 1
        try:
            start, failure = await replay.begin(self._live.engine, channel, codec.position_of(wanted.position))
            self._tell(command, Position(channel.epoch, start), failure)
            await self._deliver_missed(command, channel, start)
            changes = []
            for session in self._live.hub.confirm(self._edge, channel.topic, wanted.sessions):
                watch = session.number in wanted.presence_sessions
                changes += self._live.join(session, channel, watch=watch, first=start)
            channel.resume(self._edge)
            self._live.announce(changes, resumed=True)
        finally:
            channel.pins -= 1

    def _tell(self, command: pb.Command, position: Position, failure: RecoveryFailure | None) -> None:
        answer = pb.Resubscribed(
            topic=command.resubscribe.topic,
            position=codec.position(position),
            recovered=failure is None,
            failure=codec.failure(failure),
        )
        self._replies.tell(pb.Event(ref=command.ref, resubscribed=answer))

    async def _deliver_missed(self, command: pb.Command, channel: Channel, after: int) -> None:
        """Send what comes after an offset; it ends, without waiting, at the head."""
        epoch = channel.epoch
        while channel.epoch != epoch or not channel.covers(after):
            if channel.epoch != epoch:
                start, failure = await replay.begin(self._live.engine, channel, Position(epoch, after))
                epoch, after = channel.epoch, start
                self._tell(command, Position(epoch, after), failure)
                continue
            page = await replay.read(self._live.engine, channel, after, replay.PAGE_MESSAGES, replay.PAGE_BYTES)
            if channel.epoch != epoch:
                continue
            missed = [message for message in page.messages if message.offset <= channel.head]
            begins = missed[0].offset - 1 if missed else min(page.low, channel.head)
            if begins > after:
                after = begins
                self._tell(command, Position(epoch, after), RecoveryFailure.HISTORY_EXPIRED)
            for message in missed:
                self._replies.tell(pb.Event(delivery=codec.message(message)))
            after = missed[-1].offset if missed else after
            await self._replies.drained()
        for message in channel.ring.after(after):
            self._replies.tell(pb.Event(delivery=codec.message(message)))
