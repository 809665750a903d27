"""Carries out the commands of one attached edge, in order, and pushes their answers into its outbox.

A command without a `ref` wants no answer, except those that are notices in themselves (`resubscribed`, `replay_completed`,
`canary_returned`, failures).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from tidewire.session.v1 import edge_stream_pb2 as pb

from service_runtime.logs import get_logger
from session_service.adapters import grpc_codec as codec
from session_service.adapters import replay
from session_service.adapters.edge_outbox import EdgeOutbox
from session_service.adapters.edge_queries import EdgeQueries
from session_service.adapters.grpc_errors import command_failed
from session_service.adapters.live_channels import LiveChannels
from session_service.adapters.metrics_prometheus import StreamMetrics
from session_service.adapters.publishing import Publisher
from session_service.adapters.replay import Replay
from session_service.core.channel import Channel
from session_service.core.errors import InternalError, InvalidField, LimitExceeded, SessionError
from session_service.core.model import NewMessage, Position, RecoveryFailure, Stored
from session_service.core.sessions import Edge, Session, SessionFacts
from session_service.core.topic import (
    broadcast_topic,
    check_name,
    inbox_topic,
    parse_topic,
)

log = get_logger("session_service.edge_commands")

MAX_TASKS: Final = 20_000
RESUBSCRIBE_RETRY_S: Final = 0.5


class StandingPositions(NamedTuple):
    """From where a session goes on in the broadcasts (None: from now) and in its inbox (None: what is unacknowledged)."""

    broadcasts: Position | None
    inbox: Position | None


class EdgeCommands:
    """One attached edge.

    Args:
        live: Channels, engine, other services.
        publisher: Takes messages.
        queries: Answers questions.
        edge: Who is attached.
        outbox: Where answers go.
        metrics: Counters.
        new_id: Makes unguessable ids.
    """

    def __init__(
        self,
        live: LiveChannels,
        publisher: Publisher,
        queries: EdgeQueries,
        edge: Edge,
        outbox: EdgeOutbox,
        metrics: StreamMetrics,
        new_id: Callable[[], str],
    ) -> None:
        self._live = live
        self._publisher = publisher
        self._edge = edge
        self._outbox = outbox
        self._metrics = metrics
        self._new_id = new_id
        self._tasks: set[asyncio.Task[None]] = set()
        self._resubscribing: dict[str, asyncio.Task[None]] = {}
        self._joining: dict[tuple[int, str], list[pb.Command]] = {}
        self._replaying: set[object] = set()
        self._replay_done_ref: int | None = None
        self._handlers: Mapping[str, Callable[[pb.Command], None]] = {
            "open_session": self._open_session,
            "close_session": self._close_session,
            "join": self._join,
            "leave": self._leave,
            "publish": self._publish,
            "acknowledge": self._acknowledge,
            "read_history": self._query(queries.history),
            "read_presence": self._query(queries.presence),
            "read_receipt": self._query(queries.receipt),
            "send_canary": self._send_canary,
            "resubscribe": self._resubscribe,
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
            self._fail(command.ref, command.session, error)
        except Exception:
            log.exception("command failed", command=command.WhichOneof("command"))
            self._fail(command.ref, command.session, InternalError())

    def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()

    # Sessions.

    def _open_session(self, command: pb.Command) -> None:
        wanted = command.open_session
        for field in ("client_id", "domain", "workspace"):
            check_name(field, getattr(wanted, field))
        facts = SessionFacts(
            wanted.session_id,
            wanted.client_id,
            wanted.domain,
            wanted.workspace,
            wanted.connection_type,
            wanted.key_id,
        )
        session, gone = self._live.hub.open_session(self._edge, command.session, facts)
        self._live.announce(gone)
        since = StandingPositions(
            codec.position_of(wanted.broadcasts) if wanted.HasField("broadcasts") else None,
            codec.position_of(wanted.inbox) if wanted.HasField("inbox") else None,
        )
        self._hold(session)
        fail = partial(self._open_failed, command.ref, session)
        topic = broadcast_topic(facts.domain, facts.workspace)
        self._live.when_active(topic, partial(self._opening, command.ref, session, since), fail)

    def _opening(self, ref: int, session: Session, since: StandingPositions, broadcasts: Channel) -> None:
        facts = session.facts
        broadcasts.pins += 1
        self._live.when_active(
            inbox_topic(facts.domain, facts.workspace, facts.client_id),
            partial(self._open_active, ref, session, since, broadcasts),
            partial(self._inbox_failed, ref, session, broadcasts),
        )

    def _open_active(
        self, ref: int, session: Session, since: StandingPositions, broadcasts: Channel, inbox: Channel
    ) -> None:
        work = self._finish_open(ref, session, since, broadcasts, inbox)
        if self._spawn(ref, session.number, work, session) is None:
            broadcasts.pins -= 1
            self._live.announce(self._live.hub.close_session(session))

    async def _finish_open(
        self, ref: int, session: Session, since: StandingPositions, broadcasts: Channel, inbox: Channel
    ) -> None:
        """Find what was missed, then make the session a member of both standing channels in one step."""
        inbox.pins += 1
        try:
            past = await self._standing_past(session, since, broadcasts, inbox)
            while (busy := self._busy(broadcasts.topic, inbox.topic)) is not None:
                await asyncio.wait([busy])
                past = await self._standing_past(session, since, broadcasts, inbox)
            if not session.open:
                return
            broadcasts_past, inbox_past = past
            self._enter(session, broadcasts, watch=False, first=broadcasts_past.after)
            self._enter(session, inbox, watch=False, first=inbox_past.after)
            self._answer(
                ref,
                session.number,
                session_opened=pb.SessionOpened(
                    broadcasts=codec.position(broadcasts.position),
                    inbox=codec.position(inbox.position),
                    inbox_missed=codec.messages(inbox_past.messages),
                    inbox_failure=codec.failure(inbox_past.failure),
                    broadcasts_missed=codec.messages(broadcasts_past.messages),
                    broadcasts_failure=codec.failure(broadcasts_past.failure),
                ),
            )
        except SessionError:
            self._live.announce(self._live.hub.close_session(session))
            raise
        finally:
            inbox.pins -= 1
            broadcasts.pins -= 1
            self._release(session)

    async def _standing_past(
        self, session: Session, since: StandingPositions, broadcasts: Channel, inbox: Channel
    ) -> tuple[Replay, Replay]:
        """Return what the session missed of the broadcasts and of its inbox, both up to their heads at this moment."""
        engine, half = self._live.engine, replay.MAX_REPLAY_BYTES // 2
        acknowledged = since.inbox or await engine.acknowledged(inbox.topic, session.facts.client_id)
        while True:
            epoch = broadcasts.epoch
            wanted = since.broadcasts or broadcasts.position
            past = await replay.missed(engine, broadcasts, wanted, half)
            inbox_past = await replay.missed(engine, inbox, acknowledged or Position("", 0), half)
            if since.broadcasts is None:
                return Replay(broadcasts.head, None, []), inbox_past
            topped_up = replay.topped_up(broadcasts, past, epoch)
            if topped_up is not None:
                return topped_up, inbox_past

    def _inbox_failed(self, ref: int, session: Session, broadcasts: Channel, error: SessionError) -> None:
        broadcasts.pins -= 1
        self._open_failed(ref, session, error)

    def _open_failed(self, ref: int, session: Session, error: SessionError) -> None:
        self._release(session)
        self._live.announce(self._live.hub.close_session(session))
        self._fail(ref, session.number, error)

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
        if command.join.WhichOneof("replay") is None and self._busy(channel.topic) is None:
            self._joined(command, session, channel, Replay(channel.head, None, []))
            self._join_ended(command, None)
        else:
            work = self._join_with_past(command, session, channel)
            if self._spawn(command.ref, command.session, work, None) is None:
                self._join_ended(command, None)

    async def _join_with_past(self, command: pb.Command, session: Session, channel: Channel) -> None:
        channel.pins += 1
        error: SessionError | None = None
        try:
            past = await self._past(command.join, session, channel)
            while (busy := self._busy(channel.topic)) is not None:
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
            found = await replay.collect(self._live.engine, channel, max(0, channel.head - join.last))
            return Replay(found.after, None, found.messages[-join.last :] if join.last else [])
        return Replay(channel.head, None, [])

    def _joined(self, command: pb.Command, session: Session, channel: Channel, past: Replay) -> None:
        """Make the session a member at the channel's head. Nothing waits between the last read and this."""
        if not session.open:
            return
        self._enter(session, channel, watch=command.join.presence, first=past.after)
        self._answer(
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

    def _enter(self, session: Session, channel: Channel, *, watch: bool, first: int) -> None:
        """Join; others are told first, so that nobody is told of its own coming."""
        now_ms = self._live.now_ms()
        self._live.announce(self._live.hub.join(session, channel, watch=watch, first=first, now_ms=now_ms))

    def _join_ended(self, command: pb.Command, error: SessionError | None) -> None:
        """Go on with what waited for this join."""
        if error is not None:
            self._fail(command.ref, command.session, error)
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
        self._answer(command.ref, command.session, left=pb.Left(topic=topic))
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
            self._fail(ref, session, result)
            return
        self._answer(
            ref,
            session,
            published=pb.Published(
                topic=message.topic,
                id=message.id,
                position=codec.position(Position(result.epoch, result.offset)),
                time_ms=result.time_ms,
                duplicate=result.duplicate,
            ),
        )

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
            self._outbox.push(codec.framed(event))

        def spawn(command: pb.Command) -> None:
            self._spawn(command.ref, command.session, answer(command), None)

        return spawn

    def _send_canary(self, command: pb.Command) -> None:
        returned = pb.CanaryReturned(nonce=command.send_canary.nonce)
        event = codec.framed(pb.Event(ref=command.ref, session=command.session, canary_returned=returned))
        self._live.send_canary(
            self._new_id(),
            self._edge.edge_id,
            lambda: self._outbox.push(event),
            partial(self._fail, command.ref, command.session),
        )

    # After a reconnect, or when the edge found a gap.

    def _resubscribe(self, command: pb.Command) -> None:
        wanted = command.resubscribe
        parse_topic(wanted.topic)
        self._live.hub.confirm(self._edge, wanted.topic, wanted.sessions)
        held = object()
        self._hold(held)
        channel = self._live.hub.channels.get(wanted.topic)
        if channel is not None:
            channel.pause(self._edge)
        self._live.when_active(
            wanted.topic,
            partial(self._resubscribe_active, command, held),
            partial(self._resubscribe_failed, command, held),
        )

    def _resubscribe_active(self, command: pb.Command, held: object, channel: Channel) -> None:
        channel.pause(self._edge)
        earlier = self._resubscribing.get(channel.topic)
        task = self._spawn(command.ref, 0, self._catch_up(command, held, channel, earlier), held)
        if task is None:
            self._retry_later(command)
        else:
            self._resubscribing[channel.topic] = task

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
            self._resubscribed(command, Position(channel.epoch, start), failure)
            await self._deliver_missed(command, channel, start)
            changes = []
            for session in self._live.hub.confirm(self._edge, channel.topic, wanted.sessions):
                watch = session.number in wanted.presence_sessions
                now_ms = self._live.now_ms()
                changes += self._live.hub.join(session, channel, watch=watch, first=start, now_ms=now_ms)
            channel.resume(self._edge)
            self._live.announce_resumed(changes)
        except SessionError as error:
            self._resubscribe_failed(command, held, error)
        finally:
            channel.pins -= 1
            if self._resubscribing.get(channel.topic) is asyncio.current_task():
                del self._resubscribing[channel.topic]
            self._release(held)

    def _resubscribed(self, command: pb.Command, position: Position, failure: RecoveryFailure | None) -> None:
        answer = pb.Resubscribed(
            topic=command.resubscribe.topic,
            position=codec.position(position),
            recovered=failure is None,
            failure=codec.failure(failure),
        )
        self._outbox.push(codec.framed(pb.Event(ref=command.ref, resubscribed=answer)))

    async def _deliver_missed(self, command: pb.Command, channel: Channel, after: int) -> None:
        """Send what comes after an offset; it ends, without waiting, at the head."""
        epoch = channel.epoch
        while not channel.covers(after):
            page = await self._live.engine.read(channel.topic, after, replay.PAGE_MESSAGES, replay.PAGE_BYTES)
            missed = [message for message in page.messages if message.offset <= channel.head]
            begins = missed[0].offset - 1 if missed else min(page.low, channel.head)
            if channel.epoch != epoch or begins > after:
                epoch, after = channel.epoch, begins
                self._resubscribed(command, Position(epoch, after), RecoveryFailure.HISTORY_EXPIRED)
            for message in missed:
                self._outbox.push(codec.framed(pb.Event(delivery=codec.message(message))))
            after = missed[-1].offset if missed else after
            await self._outbox.drained()
        for message in channel.ring.after(after):
            self._outbox.push(codec.framed(pb.Event(delivery=codec.message(message))))

    def _resubscribe_failed(self, command: pb.Command, held: object, error: SessionError) -> None:
        """Try again: until it succeeds, the edge's members of the topic hear nothing."""
        log.warning("resubscription failed", topic=command.resubscribe.topic, cause=str(error))
        self._metrics.failed.inc()
        self._release(held)
        self._retry_later(command)

    def _retry_later(self, command: pb.Command) -> None:
        if not self._outbox.closed:
            asyncio.get_running_loop().call_later(RESUBSCRIBE_RETRY_S, self._retry, command)

    def _retry(self, command: pb.Command) -> None:
        """Resubscribe, unless the topic has been brought into force meanwhile, or somebody is about to."""
        topic = command.resubscribe.topic
        channel = self._live.hub.channels.get(topic)
        share = None if channel is None else channel.shares.get(self._edge.edge_id)
        in_force = share is not None and share.live
        if not self._outbox.closed and topic not in self._resubscribing and not in_force:
            self.execute(command)

    def _replay_done(self, command: pb.Command) -> None:
        """Remove what was not named again; the answer comes when all that was named is in force."""
        self._live.announce(self._live.hub.finish_replay(self._edge))
        self._replay_done_ref = command.ref
        self._release(None)

    def _hold(self, what: object) -> None:
        self._replaying.add(what)

    def _release(self, what: object) -> None:
        self._replaying.discard(what)
        if self._replay_done_ref is not None and not self._replaying:
            event = pb.Event(ref=self._replay_done_ref, replay_completed=pb.ReplayCompleted())
            self._replay_done_ref = None
            self._outbox.push(codec.framed(event))

    # Helpers.

    def _session(self, command: pb.Command) -> Session:
        session = self._edge.sessions.get(command.session)
        if session is None:
            raise InvalidField("session", f"{command.session} is not open on this stream")
        return session

    def _busy(self, *topics: str) -> asyncio.Task[None] | None:
        """Return a resubscription under way of one of the topics: until it ends, nobody joins there."""
        return next((task for topic in topics if (task := self._resubscribing.get(topic)) is not None), None)

    def _spawn(
        self, ref: int, session: int, work: Coroutine[Any, Any, None], held: object
    ) -> asyncio.Task[None] | None:
        if len(self._tasks) >= MAX_TASKS:
            work.close()
            self._fail(ref, session, LimitExceeded(f"{MAX_TASKS} commands under way"))
            self._release(held)
            return None
        task = asyncio.get_running_loop().create_task(self._run(ref, session, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, ref: int, session: int, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except SessionError as error:
            self._fail(ref, session, error)
        except Exception:
            log.exception("command failed")
            self._fail(ref, session, InternalError())

    def _answer(self, ref: int, session: int, **event: Any) -> None:
        if ref:
            self._outbox.push(codec.framed(pb.Event(ref=ref, session=session, **event)))

    def _fail(self, ref: int, session: int, error: SessionError) -> None:
        self._metrics.failed.inc()
        self._outbox.push(codec.framed(pb.Event(ref=ref, session=session, failed=command_failed(error))))
