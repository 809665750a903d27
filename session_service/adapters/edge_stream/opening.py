"""Opening a session: it becomes a member of the broadcasts and of its inbox at once, behind what it missed of both.

A session that the edge names after a reconnect lives already, and nobody waits for an answer: when the store fails it is not
given up, or its client would stay connected and hear nothing. It is tried again until it succeeds.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import NamedTuple

from tidewire.session.v1 import edge_stream_pb2 as pb

from session_service.adapters import grpc_codec as codec
from session_service.adapters import replay
from session_service.adapters.edge_stream.replay import ReplayHolds
from session_service.adapters.edge_stream.replies import EdgeReplies
from session_service.adapters.edge_stream.resubscription import RETRY_S, Resubscriptions
from session_service.adapters.edge_stream.tasks import EdgeTasks
from session_service.adapters.live_channels import LiveChannels
from session_service.adapters.replay import Replay
from session_service.core.channel import Channel
from session_service.core.errors import SessionError
from session_service.core.model import Position
from session_service.core.sessions import Edge, Session, SessionFacts
from session_service.core.topic import broadcast_topic, check_name, inbox_topic


class StandingPositions(NamedTuple):
    """From where a session goes on in the broadcasts (None: from now) and in its inbox (None: what is unacknowledged)."""

    broadcasts: Position | None
    inbox: Position | None


class SessionOpening:
    """Carries out `open_session`.

    Args:
        live: Channels and engine.
        edge: Who is attached.
        replies: Where answers go.
        tasks: Runs what waits.
        holds: The end of the replay waits for sessions that are opened.
        resubscriptions: Nobody joins a channel while one of it is under way.
    """

    def __init__(
        self,
        live: LiveChannels,
        edge: Edge,
        replies: EdgeReplies,
        tasks: EdgeTasks,
        holds: ReplayHolds,
        resubscriptions: Resubscriptions,
    ) -> None:
        self._live = live
        self._edge = edge
        self._replies = replies
        self._tasks = tasks
        self._holds = holds
        self._resubscriptions = resubscriptions
        self._attempts: Counter[Session] = Counter()

    def begin(self, command: pb.Command) -> None:
        """Begin to open a session; raises InvalidField."""
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
        self._attempts[session] += 1
        self._holds.hold(session)
        self._live.when_active(
            broadcast_topic(facts.domain, facts.workspace),
            partial(self._broadcasts_active, command, session, since),
            partial(self._failed, command, session),
        )

    def _broadcasts_active(
        self, command: pb.Command, session: Session, since: StandingPositions, broadcasts: Channel
    ) -> None:
        facts = session.facts
        broadcasts.pins += 1
        self._live.when_active(
            inbox_topic(facts.domain, facts.workspace, facts.client_id),
            partial(self._inbox_active, command, session, since, broadcasts),
            partial(self._inbox_failed, command, session, broadcasts),
        )

    def _inbox_active(
        self, command: pb.Command, session: Session, since: StandingPositions, broadcasts: Channel, inbox: Channel
    ) -> None:
        if self._nothing_missed(since, broadcasts, inbox):
            broadcasts.pins -= 1
            self._ended(session)
            if session.open:
                pasts = Replay(broadcasts.head, None, []), Replay(inbox.head, None, [])
                self._enter(command.ref, session, (broadcasts, inbox), pasts)
            return
        work = self._finish(command, session, since, broadcasts, inbox)
        if self._tasks.spawn(command.ref, session.number, work) is None:
            broadcasts.pins -= 1
            self._ended(session)
            self._give_up(command, session)

    def _nothing_missed(self, since: StandingPositions, broadcasts: Channel, inbox: Channel) -> bool:
        """Say if the session begins where both channels stand, without a look at the store: its inbox never had a message."""
        new = since == (None, None) and inbox.head == 0
        return new and self._resubscriptions.busy(broadcasts.topic, inbox.topic) is None

    def _inbox_failed(self, command: pb.Command, session: Session, broadcasts: Channel, error: SessionError) -> None:
        broadcasts.pins -= 1
        self._failed(command, session, error)

    def _failed(self, command: pb.Command, session: Session, error: SessionError) -> None:
        self._ended(session)
        self._give_up(command, session)
        self._replies.fail(command.ref, session.number, error)

    def _give_up(self, command: pb.Command, session: Session) -> None:
        """Forget a session that could not be opened; one that lives already is tried again.

        An edge that had no answer in time asks once more: what became of an earlier attempt is then no matter.
        """
        if command.ref:
            if not session.topics and not self._attempts[session]:
                self._live.announce(self._live.hub.close_session(session))
        elif not self._replies.closed:
            asyncio.get_running_loop().call_later(RETRY_S, self._retry, command, session)

    def _ended(self, session: Session) -> None:
        """Note the end of an attempt."""
        self._attempts[session] -= 1
        if not self._attempts[session]:
            del self._attempts[session]
            self._holds.release(session)

    def _retry(self, command: pb.Command, session: Session) -> None:
        if session.open and not self._replies.closed:
            self.begin(command)

    async def _finish(
        self, command: pb.Command, session: Session, since: StandingPositions, broadcasts: Channel, inbox: Channel
    ) -> None:
        """Find what was missed, then make the session a member of both standing channels in one step."""
        failure: SessionError | None = None
        inbox.pins += 1
        try:
            past = await self._past(session, since, broadcasts, inbox)
            while (busy := self._resubscriptions.busy(broadcasts.topic, inbox.topic)) is not None:
                await asyncio.wait([busy])
                past = await self._past(session, since, broadcasts, inbox)
            if session.open:
                self._enter(command.ref, session, (broadcasts, inbox), past)
        except SessionError as error:
            failure = error
        finally:
            inbox.pins -= 1
            broadcasts.pins -= 1
            self._ended(session)
        if failure is not None:
            self._give_up(command, session)
            raise failure

    async def _past(
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

    def _enter(
        self, ref: int, session: Session, channels: tuple[Channel, Channel], pasts: tuple[Replay, Replay]
    ) -> None:
        for channel, past in zip(channels, pasts, strict=True):
            self._live.enter(session, channel, watch=False, first=past.after)
        (broadcasts, inbox), (broadcasts_past, inbox_past) = channels, pasts
        self._replies.answer(
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
