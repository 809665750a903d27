"""Carries out the commands of one attached edge, in order, and pushes their answers into its outbox.

A command without a `ref` wants no answer, except those that are notices in themselves (`resubscribed`, `replay_completed`,
`canary_returned`, failures).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from tidewire.session.v1 import edge_stream_pb2 as pb

from service_runtime.logs import get_logger
from session_service.adapters import grpc_codec as codec
from session_service.adapters import replay
from session_service.adapters.edge_stream.opening import SessionOpening
from session_service.adapters.edge_stream.queries import EdgeQueries
from session_service.adapters.edge_stream.replay import ReplayHolds
from session_service.adapters.edge_stream.replies import EdgeReplies
from session_service.adapters.edge_stream.resubscription import Resubscriptions
from session_service.adapters.edge_stream.tasks import EdgeTasks
from session_service.adapters.live_channels import LiveChannels
from session_service.adapters.publishing import Publisher
from session_service.adapters.replay import Replay
from session_service.core.channel import Channel
from session_service.core.errors import ChannelLimit, EngineUnavailable, InternalError, InvalidField, SessionError
from session_service.core.model import NewMessage, Position, Stored
from session_service.core.sessions import Edge, Session
from session_service.core.topic import (
    parse_topic,
)

log = get_logger("session_service.edge_commands")


class EdgeCommands:
    """One attached edge.

    Args:
        live: Channels, engine, other services.
        publisher: Takes messages.
        queries: Answers questions.
        edge: Who is attached.
        replies: Where answers go.
        new_id: Makes unguessable ids.
    """

    def __init__(
        self,
        live: LiveChannels,
        publisher: Publisher,
        queries: EdgeQueries,
        edge: Edge,
        replies: EdgeReplies,
        new_id: Callable[[], str],
    ) -> None:
        self._live = live
        self._publisher = publisher
        self._edge = edge
        self._new_id = new_id
        self._replies = replies
        self._tasks = EdgeTasks(self._replies)
        self._holds = ReplayHolds(self._replies)
        self._resubscriptions = Resubscriptions(live, edge, self._replies, self._holds)
        opening = SessionOpening(live, edge, self._replies, self._tasks, self._holds, self._resubscriptions)
        self._joining: dict[tuple[int, str], list[pb.Command]] = {}
        self._handlers: Mapping[str, Callable[[pb.Command], None]] = {
            "open_session": opening.begin,
            "close_session": self._close_session,
            "join": self._join,
            "leave": self._leave,
            "publish": self._publish,
            "acknowledge": self._acknowledge,
            "read_history": self._query(queries.history),
            "read_presence": self._query(queries.presence),
            "read_receipt": self._query(queries.receipt),
            "send_canary": self._send_canary,
            "resubscribe": self._resubscriptions.begin,
            "replay_done": self._replay_done,
        }

    def execute(self, command: pb.Command) -> None:
        """Carry out one command, or begin to; what it answers is pushed when it is true."""
        handler = self._handlers.get(command.WhichOneof("command") or "")
        try:
            if handler is None:
                raise InvalidField("command", "is not known, or not allowed here")
            handler(command)
        except SessionError as error:
            self._replies.fail(command.ref, command.session, error)
        except Exception:
            log.exception("command failed", command=command.WhichOneof("command"))
            self._replies.fail(command.ref, command.session, InternalError())

    def close(self) -> None:
        """Give up what is under way."""
        self._tasks.close()
        self._resubscriptions.close()

    # Sessions.

    def _close_session(self, command: pb.Command) -> None:
        session = self._edge.sessions.get(command.session)
        if session is not None:
            self._live.announce(self._live.hub.close_session(session))

    # Membership.

    def _join(self, command: pb.Command) -> None:
        session = self._session(command)
        topic = command.join.topic
        name = parse_topic(topic)
        if name.is_broadcast or name.is_inbox:
            raise InvalidField("topic", "is joined by every session of its own accord")
        if self._waits_for_join(command, topic):
            return
        self._joining[(command.session, topic)] = []
        self._live.when_active(
            topic,
            partial(self._join_active, command, session),
            lambda error: self._join_ended(command, error),
        )

    def _join_active(self, command: pb.Command, session: Session, channel: Channel) -> None:
        if command.join.WhichOneof("replay") is None and self._resubscriptions.busy(channel.topic) is None:
            self._joined(command, session, channel, Replay(channel.head, None, []))
            self._join_ended(command, None)
        else:
            work = self._join_with_past(command, session, channel)
            if self._tasks.spawn(command.ref, command.session, work) is None:
                self._join_ended(command, None)

    async def _join_with_past(self, command: pb.Command, session: Session, channel: Channel) -> None:
        channel.pins += 1
        error: SessionError | None = None
        try:
            past = await self._past(command.join, session, channel)
            while (busy := self._resubscriptions.busy(channel.topic)) is not None:
                await asyncio.wait([busy])
                past = await self._past(command.join, session, channel)
            self._joined(command, session, channel, past)
        except SessionError as failed:
            error = failed
        finally:
            channel.pins -= 1
            self._join_ended(command, error)

    async def _past(self, join: pb.Join, session: Session, channel: Channel) -> Replay:
        """Return what the join asks for of the past, up to the channel's head."""
        kind = join.WhichOneof("replay")
        if kind == "since":
            return await replay.missed(self._live.engine, channel, codec.position_of(join.since))
        if kind == "last_acked":
            position = await self._live.engine.acknowledged(channel.topic, session.facts.client_id)
            if position is not None:
                return await replay.missed(self._live.engine, channel, position)
            self._live.engine.acknowledge(channel.topic, session.facts.client_id, channel.position, baseline=True)
        elif kind == "last":
            return await replay.newest(self._live.engine, channel, join.last)
        return Replay(channel.head, None, [])

    def _joined(self, command: pb.Command, session: Session, channel: Channel, past: Replay) -> None:
        """Make the session a member at the channel's head. Nothing waits between the last read and this."""
        if not session.open:
            return
        try:
            self._live.require_room(session, channel)
        except ChannelLimit as full:
            self._replies.fail(command.ref, command.session, full)
            return
        self._live.enter(session, channel, watch=command.join.presence, first=past.after)
        self._replies.answer(
            command.ref,
            command.session,
            joined=pb.Joined(
                topic=channel.topic,
                position=codec.position(channel.position),
                recovered=past.failure is None,
                failure=codec.failure(past.failure),
                missed=codec.messages(past.messages),
            ),
        )

    def _join_ended(self, command: pb.Command, error: SessionError | None) -> None:
        """Go on with what waited for this join."""
        if error is not None:
            self._replies.fail(command.ref, command.session, error)
        waiting = self._joining.pop((command.session, command.join.topic), [])
        for each in waiting:
            self.execute(each)

    def _waits_for_join(self, command: pb.Command, topic: str) -> bool:
        """Put a command behind the same session's join of the topic, if that is under way."""
        waiting = self._joining.get((command.session, topic))
        if waiting is None:
            return False
        waiting.append(command)
        return True

    def _leave(self, command: pb.Command) -> None:
        topic = command.leave.topic
        if self._waits_for_join(command, topic):
            return
        session = self._session(command)
        gone = self._live.hub.leave(session, topic)
        self._replies.answer(command.ref, command.session, left=pb.Left(topic=topic))
        self._live.announce(gone)

    # Messages.

    def _publish(self, command: pb.Command) -> None:
        session = self._session(command)
        wanted = command.publish
        message = NewMessage(
            wanted.topic,
            wanted.type,
            wanted.id or self._new_id(),
            session.facts.client_id,
            wanted.data,
            wanted.thread_id,
        )
        self._publisher.publish(message, partial(self._published, command.ref, command.session, message))

    def _published(self, ref: int, session: int, message: NewMessage, result: Stored | SessionError) -> None:
        if isinstance(result, SessionError):
            self._replies.fail(ref, session, result)
            return
        self._replies.published(ref, session, message, result)

    def _acknowledge(self, command: pb.Command) -> None:
        """Move the client's position; of what is no member, of another epoch, or ahead of the channel, nothing is taken."""
        session = self._session(command)
        channel = session.topics.get(command.acknowledge.topic)
        position = codec.position_of(command.acknowledge.position)
        if channel is not None and position.epoch in ("", channel.epoch) and 0 < position.offset <= channel.head:
            place = Position(channel.epoch, position.offset)
            self._live.engine.acknowledge(channel.topic, session.facts.client_id, place)

    # Reading.

    def _query(self, ask: Callable[[pb.Command], Coroutine[Any, Any, pb.Event]]) -> Callable[[pb.Command], None]:
        async def answer(command: pb.Command) -> None:
            event = await ask(command)
            event.ref, event.session = command.ref, command.session
            self._replies.tell(event)

        def spawn(command: pb.Command) -> None:
            self._tasks.spawn(command.ref, command.session, answer(command))

        return spawn

    def _send_canary(self, command: pb.Command) -> None:
        returned = pb.CanaryReturned(nonce=command.send_canary.nonce)
        event = pb.Event(ref=command.ref, session=command.session, canary_returned=returned)
        self._live.send_canary(
            self._new_id(),
            self._edge.edge_id,
            lambda: self._replies.tell(event),
            partial(self._replies.fail, command.ref, command.session),
        )

    def _replay_done(self, command: pb.Command) -> None:
        """Remove what was not named again; the answer comes when all that was named is in force."""
        self._live.announce(self._live.hub.finish_replay(self._edge))
        self._holds.named_all(command.ref)

    # Helpers.

    def _session(self, command: pb.Command) -> Session:
        session = self._edge.sessions.get(command.session)
        if session is None:
            raise EngineUnavailable(f"session {command.session} is not open on this stream")
        return session
