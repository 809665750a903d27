"""Resubscriptions of one edge: after a reconnect, or when it found a gap, it gets what it missed and then goes on live.

While one is under way the edge is sent nothing else of that channel, and nobody joins there. One that fails is tried again
until it succeeds: meanwhile the edge's members of the channel hear nothing.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from tidewire.session.v1 import edge_stream_pb2 as pb

from service_runtime.logs import get_logger
from session_service.adapters import grpc_codec as codec
from session_service.adapters import replay
from session_service.adapters.edge_replay import ReplayHolds
from session_service.adapters.edge_replies import EdgeReplies
from session_service.adapters.edge_tasks import EdgeTasks
from session_service.adapters.live_channels import LiveChannels
from session_service.core.channel import Channel
from session_service.core.errors import SessionError
from session_service.core.model import Position, RecoveryFailure
from session_service.core.sessions import Edge
from session_service.core.topic import parse_topic

log = get_logger("session_service.edge_resubscription")

RETRY_S: Final = 0.5


class Resubscriptions:
    """Carries out `resubscribe`.

    Args:
        live: Channels and engine.
        edge: Who is attached.
        replies: Where events go.
        tasks: Runs what waits.
        holds: The end of the replay waits for resubscriptions.
    """

    def __init__(
        self, live: LiveChannels, edge: Edge, replies: EdgeReplies, tasks: EdgeTasks, holds: ReplayHolds
    ) -> None:
        self._live = live
        self._edge = edge
        self._replies = replies
        self._tasks = tasks
        self._holds = holds
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def busy(self, *topics: str) -> asyncio.Task[None] | None:
        """Return a resubscription under way of one of the topics: until it ends, nobody joins there."""
        return next((task for topic in topics if (task := self._under_way.get(topic)) is not None), None)

    def begin(self, command: pb.Command) -> None:
        """Begin one; raises InvalidField."""
        wanted = command.resubscribe
        parse_topic(wanted.topic)
        self._live.hub.confirm(self._edge, wanted.topic, wanted.sessions)
        held = object()
        self._holds.hold(held)
        channel = self._live.hub.channels.get(wanted.topic)
        if channel is not None:
            channel.pause(self._edge)
        self._live.when_active(wanted.topic, partial(self._active, command, held), partial(self._failed, command, held))

    def _active(self, command: pb.Command, held: object, channel: Channel) -> None:
        channel.pause(self._edge)
        earlier = self._under_way.get(channel.topic)
        task = self._tasks.spawn(command.ref, 0, self._catch_up(command, held, channel, earlier))
        if task is None:
            self._holds.release(held)
            self._retry_later(command)
        else:
            self._under_way[channel.topic] = task

    async def _catch_up(
        self, command: pb.Command, held: object, channel: Channel, earlier: asyncio.Task[None] | None
    ) -> None:
        """Say where the edge goes on, send what it missed as deliveries, and make it live at the head in one step."""
        wanted = command.resubscribe
        channel.pins += 1
        try:
            if earlier is not None and not earlier.done():
                await asyncio.wait([earlier])
                channel.pause(self._edge)
            start, failure = await replay.begin(self._live.engine, channel, codec.position_of(wanted.position))
            self._tell(command, Position(channel.epoch, start), failure)
            await self._deliver_missed(command, channel, start)
            changes = []
            for session in self._live.hub.confirm(self._edge, channel.topic, wanted.sessions):
                watch = session.number in wanted.presence_sessions
                changes += self._live.join(session, channel, watch=watch, first=start)
            channel.resume(self._edge)
            self._live.announce(changes, resumed=True)
        except SessionError as error:
            self._failed(command, held, error)
        finally:
            channel.pins -= 1
            if self._under_way.get(channel.topic) is asyncio.current_task():
                del self._under_way[channel.topic]
            self._holds.release(held)

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

    def _failed(self, command: pb.Command, held: object, error: SessionError) -> None:
        log.warning("resubscription failed", topic=command.resubscribe.topic, cause=str(error))
        self._replies.count_failure()
        self._holds.release(held)
        self._retry_later(command)

    def _retry_later(self, command: pb.Command) -> None:
        if not self._replies.closed:
            asyncio.get_running_loop().call_later(RETRY_S, self._retry, command)

    def _retry(self, command: pb.Command) -> None:
        """Resubscribe again. What the edge was given meanwhile it knows by its offset, and does not take twice."""
        if not self._replies.closed and command.resubscribe.topic not in self._under_way:
            self.begin(command)
