"""The one stream of this edge to a session service: commands out and events in, many to a gRPC message.

Commands that want an answer are pending under their `ref` until it comes or their deadline passes. When the stream breaks,
the edge attaches again, names all that lives here (`replay`), and sends what is still pending once more: publishes carry an
id, so that repeating stores nothing twice. Pending commands all have the same time to live, so they expire in the order in
which they were sent, and one sweep looks only at the oldest.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import grpc
from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import edge_stream_pb2_grpc, message_pb2

from service_runtime.grpc_channel import bearer
from service_runtime.logs import get_logger
from ws_edge.adapters.session_events import answer_of, member_of, message_of, position_of, recovery_failure
from ws_edge.core.ports import (
    Answer,
    Failed,
    FailureKind,
    Member,
    OnAnswer,
    Position,
    SessionFacts,
    StoredMessage,
)

log = get_logger("ws_edge.session_stream")

AttachCall: TypeAlias = grpc.aio.StreamStreamCall[pb.AttachRequest, pb.AttachResponse]

MAX_COMMANDS_PER_BATCH = 512
MAX_BATCH_BYTES = 2 * 1024 * 1024
SWEEP_S = 0.1


class StreamListener(Protocol):
    """What the stream tells the edge, besides answers."""

    def deliver(self, topic: str, stored: StoredMessage) -> None:
        """Deliver a message to the members of a topic."""

    def presence_changed(self, topic: str, who: Member, *, joined: bool) -> None:
        """Tell members that somebody came or went."""

    def resubscribed(self, topic: str, position: Position, failure: str | None) -> None:
        """Go on from a position."""

    def disconnect_session(self, number: int, reason: str, *, reconnect: bool) -> None:
        """Close a connection because a back end asked for it."""

    def defect(self, number: int, exc: Exception) -> None:
        """Act on an exception of ours: it ends the connection that it concerns (0: none), not the stream."""

    def canary_returned(self, nonce: str) -> None:
        """Note that a canary came back through the engine."""

    def sessions(self) -> list[tuple[SessionFacts, Position | None]]:
        """Return what lives here: authenticated connections and the positions of their inboxes."""

    def subscriptions(self) -> list[tuple[str, Position, list[int], list[int]]]:
        """Return what lives here: topics, positions, members, and the members that want presence."""


class Pending:
    """A command that waits for its answer."""

    __slots__ = ("command", "deadline", "on_answer")

    def __init__(self, command: pb.Command, on_answer: OnAnswer, deadline: float) -> None:
        self.command = command
        self.on_answer = on_answer
        self.deadline = deadline


class StreamStats:
    """Counters of the stream."""

    def __init__(self) -> None:
        self.attached = 0
        self.commands = 0
        self.events = 0
        self.timeouts = 0
        self.late_answers = 0
        self.dropped_commands = 0


class SessionStream:
    """Implements `ws_edge.core.ports.SessionLink` over `EdgeStreamService.Attach`.

    Args:
        channel: To the session services.
        service_token: The credential of services.
        edge_id: Random for each process.
        deadline_s: How long a command may wait for its answer, reconnects included, in seconds.
        max_pending: How many commands may wait at once; more are refused.
        backoff: Returns the seconds to wait before the n-th attempt to attach.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        service_token: str,
        edge_id: str,
        deadline_s: float,
        max_pending: int,
        backoff: Callable[[int], float],
    ) -> None:
        self.stats = StreamStats()
        self.service_id = ""
        self._stub = edge_stream_pb2_grpc.EdgeStreamServiceStub(channel)
        self._metadata = bearer(service_token)
        self._edge_id = edge_id
        self._deadline_s = deadline_s
        self._max_pending = max_pending
        self._backoff = backoff
        self._refs = itertools.count(1)
        self._pending: dict[int, Pending] = {}
        self._out: list[pb.Command] = []
        self._wake = asyncio.Event()
        self._live = False
        self._listener: StreamListener
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def live(self) -> bool:
        """The stream is attached, and what lives here is in force there."""
        return self._live

    @property
    def pending(self) -> int:
        """How many commands wait for an answer."""
        return len(self._pending)

    def start(self, listener: StreamListener) -> None:
        """Attach, and stay attached until `stop`."""
        self._listener = listener
        self._tasks = [asyncio.create_task(self._stay_attached()), asyncio.create_task(self._sweep())]

    async def stop(self) -> None:
        """Detach; pending commands are answered as unavailable."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._fail_all("the edge is stopping")

    # Commands (SessionLink).

    async def open(
        self, who: SessionFacts, on_answer: OnAnswer, *, broadcasts: Position | None, inbox: Position | None
    ) -> None:
        """Announce an authenticated connection; returns when `on_answer` has run."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def answered(answer: Answer) -> None:
            try:
                on_answer(answer)
            finally:
                if not done.done():
                    done.set_result(None)

        self._ask(pb.Command(session=who.number, open_session=_open_session(who, inbox, broadcasts)), answered)
        await done

    def close(self, number: int) -> None:
        """Announce the end of a connection; a new session service is not told of it at all."""
        self._tell(pb.Command(session=number, close_session=pb.CloseSession()))

    def join(
        self,
        number: int,
        topic: str,
        on_answer: OnAnswer,
        *,
        since: Position | None = None,
        last_acked: bool = False,
        last: int = 0,
        presence: bool = False,
    ) -> None:
        """Join a channel. Answer: `Joined`."""
        join = pb.Join(topic=topic, presence=presence)
        if since is not None:
            join.since.CopyFrom(_position(since))
        elif last_acked:
            join.last_acked.SetInParent()
        elif last:
            join.last = last
        self._ask(pb.Command(session=number, join=join), on_answer)

    def leave(self, number: int, topic: str, on_answer: OnAnswer) -> None:
        """Leave a channel. Answer: `Left`."""
        self._ask(pb.Command(session=number, leave=pb.Leave(topic=topic)), on_answer)

    def publish(
        self,
        number: int,
        topic: str,
        message_type: str,
        message_id: str,
        data: bytes,
        thread_id: str,
        on_answer: OnAnswer,
    ) -> None:
        """Store and deliver a message. Answer: `Published`."""
        publish = pb.Publish(topic=topic, type=message_type, id=message_id, data=data, thread_id=thread_id)
        self._ask(pb.Command(session=number, publish=publish), on_answer)

    def acknowledge(self, number: int, topic: str, position: Position) -> None:
        """Note how far a client has seen; lost while no session service is there, as the next one says it again."""
        self._tell(pb.Command(session=number, acknowledge=pb.Acknowledge(topic=topic, position=_position(position))))

    def read_history(
        self, number: int, topic: str, on_answer: OnAnswer, *, since: tuple[str, int] | None, limit: int
    ) -> None:
        """Read part of a history. Answer: `HistoryPage`."""
        read = pb.ReadHistory(topic=topic, limit=limit)
        if since is not None:
            read.since.CopyFrom(message_pb2.Position(epoch=since[0], offset=since[1]))
        self._ask(pb.Command(session=number, read_history=read), on_answer)

    def read_presence(self, number: int, topic: str, on_answer: OnAnswer) -> None:
        """Read the members. Answer: `PresenceList`."""
        self._ask(pb.Command(session=number, read_presence=pb.ReadPresence(topic=topic)), on_answer)

    def read_receipt(self, number: int, topic: str, offset: int, on_answer: OnAnswer) -> None:
        """Read how far a message has come. Answer: `ReceiptState`."""
        read = pb.ReadReceipt(topic=topic, offset=offset)
        self._ask(pb.Command(session=number, read_receipt=read), on_answer)

    def resubscribe(self, topic: str, position: Position, numbers: Sequence[int], presence: Sequence[int]) -> None:
        """Ask for what a topic has after a position."""
        self._tell(_resubscribe(topic, position, numbers, presence))

    def send_canary(self, nonce: str) -> None:
        """Send a message that must come back through the engine."""
        self._tell(pb.Command(send_canary=pb.SendCanary(nonce=nonce)))

    def _ask(self, command: pb.Command, on_answer: OnAnswer) -> None:
        if len(self._pending) >= self._max_pending:
            on_answer(Failed(FailureKind.LIMIT, "Too many commands wait for the session service", True))
            return
        ref = command.ref = next(self._refs)
        deadline = asyncio.get_running_loop().time() + self._deadline_s
        self._pending[ref] = Pending(command, on_answer, deadline)
        if self._live:
            self._push(command)

    def _tell(self, command: pb.Command) -> None:
        if self._live:
            self._push(command)
        else:
            self.stats.dropped_commands += 1

    def _push(self, command: pb.Command) -> None:
        self.stats.commands += 1
        self._out.append(command)
        self._wake.set()

    # The stream.

    async def _stay_attached(self) -> None:
        for attempt in itertools.count():
            attached_before = self.stats.attached
            try:
                await self._attach_once()
                cause = "the session service ended the stream"
            except grpc.aio.AioRpcError as exc:
                cause = f"{exc.code().name}: {exc.details()}"
            was_attached = self.stats.attached != attached_before
            if was_attached or attempt % 10 == 0:
                log.warning("session stream is down", cause=cause, pending=len(self._pending))
            await asyncio.sleep(self._backoff(0 if was_attached else min(attempt, 10)))

    async def _attach_once(self) -> None:
        self._out.clear()
        self._wake.clear()
        call = self._stub.Attach(metadata=self._metadata, wait_for_ready=False)
        # A task of ours, not a request iterator: gRPC leaves the iterator of a call that has failed waiting, and it would
        # take commands that are meant for the next call.
        writer = asyncio.create_task(self._write(call))
        writer.add_done_callback(lambda _: call.cancel())
        try:
            async for response in call:
                for event in response.events:
                    try:
                        self._handle(event)
                    except Exception as exc:
                        self._listener.defect(event.session, exc)
                self.stats.events += len(response.events)
        finally:
            self._live = False
            writer.cancel()
            call.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _write(self, call: AttachCall) -> None:
        """Send batches of commands: the greeting and the replay first, then what each tick gathered."""
        await call.write(pb.AttachRequest(commands=[pb.Command(hello=pb.Hello(edge_id=self._edge_id))]))
        for batch in _batches(self._replay()):
            await call.write(pb.AttachRequest(commands=batch))
        while True:
            await self._wake.wait()
            self._wake.clear()
            commands, self._out = self._out, []
            for batch in _batches(commands):
                await call.write(pb.AttachRequest(commands=batch))

    def _replay(self) -> list[pb.Command]:
        """Return all that lives here, then what is pending; from now on commands are sent behind it."""
        replay = []
        for who, inbox in self._listener.sessions():
            replay.append(pb.Command(session=who.number, open_session=_open_session(who, inbox, None)))
        replay += [_resubscribe(*subscription) for subscription in self._listener.subscriptions()]
        replay.append(pb.Command(replay_done=pb.ReplayDone()))
        replay += [pending.command for pending in self._pending.values()]
        self._live = True
        return replay

    def _handle(self, event: pb.Event) -> None:
        kind = event.WhichOneof("event")
        if kind == "delivery":
            self._listener.deliver(event.delivery.topic, message_of(event.delivery))
        elif event.ref:
            self._answer(event, kind)
        elif kind is not None:
            self._notice(event, kind)

    def _answer(self, event: pb.Event, kind: str | None) -> None:
        pending = self._pending.pop(event.ref, None)
        if pending is not None:
            pending.on_answer(answer_of(event, kind))
            return
        self.stats.late_answers += 1
        if kind == "joined":  # the client was told that its join failed: make that true
            self._tell(pb.Command(session=event.session, leave=pb.Leave(topic=event.joined.topic)))

    def _notice(self, event: pb.Event, kind: str) -> None:
        if kind == "presence_changed":
            change = event.presence_changed
            self._listener.presence_changed(change.topic, member_of(change.member), joined=change.joined)
        elif kind == "resubscribed":
            answer = event.resubscribed
            failure = None if answer.recovered else recovery_failure(answer.failure) or "history_expired"
            self._listener.resubscribed(answer.topic, position_of(answer.position), failure)
        elif kind == "disconnect_session":
            request = event.disconnect_session
            self._listener.disconnect_session(event.session, request.reason, reconnect=request.reconnect)
        elif kind == "canary_returned":
            self._listener.canary_returned(event.canary_returned.nonce)
        elif kind == "welcome":
            self.stats.attached += 1
            self.service_id = event.welcome.service_id
            log.info("session stream is attached", service_id=self.service_id)
        elif kind == "failed":
            log.error("session service refused a command", message=event.failed.message)

    # Deadlines.

    async def _sweep(self) -> None:
        """Answer commands whose time is over: as timed out while the stream lives, else as unavailable."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now = asyncio.get_running_loop().time()
            expired = []
            for ref, pending in self._pending.items():
                if pending.deadline > now:
                    break
                expired.append(ref)
            for ref in expired:
                self.stats.timeouts += 1
                self._pending.pop(ref).on_answer(self._no_answer())

    def _no_answer(self) -> Failed:
        if self._live:
            return Failed(FailureKind.TIMEOUT, "The session service did not answer in time", False)
        return Failed(FailureKind.UNAVAILABLE, "The session service is away", False)

    def _fail_all(self, why: str) -> None:
        pending, self._pending = self._pending, {}
        for waiting in pending.values():
            waiting.on_answer(Failed(FailureKind.UNAVAILABLE, why, False))


def _batches(commands: Sequence[pb.Command]) -> list[list[pb.Command]]:
    """Split commands so that no gRPC message grows over its bound."""
    batches: list[list[pb.Command]] = []
    size = MAX_BATCH_BYTES
    for command in commands:
        length = len(command.publish.data) + 256 if command.HasField("publish") else command.ByteSize()
        if size + length > MAX_BATCH_BYTES or len(batches[-1]) >= MAX_COMMANDS_PER_BATCH:
            batches.append([])
            size = 0
        batches[-1].append(command)
        size += length
    return batches


def _position(position: Position) -> message_pb2.Position:
    return message_pb2.Position(epoch=position.epoch, offset=position.offset)


def _open_session(who: SessionFacts, inbox: Position | None, broadcasts: Position | None) -> pb.OpenSession:
    return pb.OpenSession(
        inbox=None if inbox is None else _position(inbox),
        broadcasts=None if broadcasts is None else _position(broadcasts),
        client_id=who.client_id,
        domain=who.domain,
        workspace=who.workspace,
        connection_type=who.connection_type,
        key_id=who.key_id,
        session_id=who.session_id,
    )


def _resubscribe(topic: str, position: Position, numbers: Sequence[int], presence: Sequence[int]) -> pb.Command:
    return pb.Command(
        resubscribe=pb.Resubscribe(
            topic=topic, position=_position(position), sessions=numbers, presence_sessions=presence
        )
    )
