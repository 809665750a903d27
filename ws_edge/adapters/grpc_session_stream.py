"""The one stream of this edge to a session service: commands out and events in, many to a gRPC message.

When the stream breaks, the edge attaches again, names all that lives here (`_replay`), and sends what is pending once more.
What commands are made of is in `session_commands`, what becomes of them in `command_queue`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import grpc
from tidewire.session.v1 import edge_stream_pb2 as pb

from service_runtime.grpc_channel import bearer
from service_runtime.logs import get_logger
from service_runtime.protobuf_wire import record, tag
from service_runtime.tasks import end_tasks
from ws_edge.adapters.command_queue import CommandQueue
from ws_edge.adapters.session_commands import CommandSink, SessionCommands, open_session, resubscribe
from ws_edge.adapters.session_events import member_of, message_of, position_of, recovery_failure
from ws_edge.adapters.stream_stats import StreamStats
from ws_edge.core.ports import Member, Position, SessionFacts, StoredMessage

log = get_logger("ws_edge.session_stream")

AttachCall: TypeAlias = grpc.aio.StreamStreamCall[bytes, pb.AttachResponse]

MAX_COMMANDS_PER_BATCH = 512
MAX_BATCH_BYTES = 2 * 1024 * 1024
# What comes so soon behind a message waits for the next one: a message costs as much as dozens of commands.
GATHER_S = 0.001
SWEEP_S = 0.1
END_S = 1.0
_ATTACH = f"/{pb.DESCRIPTOR.services_by_name['EdgeStreamService'].full_name}/Attach"
_COMMANDS_TAG = tag(pb.AttachRequest, "commands")
ENDED = (grpc.aio.AioRpcError, asyncio.InvalidStateError)
"""What a write raises when the call is over: whoever reads knows why."""


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

    def is_open(self, number: int) -> bool:
        """Say if a connection is still there."""

    def sessions(self) -> list[tuple[SessionFacts, Position | None]]:
        """Return what lives here: authenticated connections and the positions of their inboxes."""

    def subscriptions(self) -> list[tuple[str, Position, list[int], list[int]]]:
        """Return what lives here: topics, positions, members, and the members that want presence."""


class SessionStream:
    """Stays attached to a session service by `EdgeStreamService.Attach`.

    Attributes:
        commands: Where the core sends commands.
        stats: Counters.
        service_id: The session service that it is, or was last, attached to.

    Args:
        channel: To the session services.
        service_token: The credential of services.
        edge_id: Random for each process.
        deadline_s: How long a command may wait for its answer, reconnects and repeats included, in seconds; a session
            service may take twice as long for its greeting.
        max_pending: How many commands may wait at once; more are refused.
        backoff: Returns the seconds to wait before the n-th attempt to attach, or repeat of a command.
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
        self._queue = CommandQueue(
            self.stats,
            deadline_s=deadline_s,
            max_pending=max_pending,
            backoff=backoff,
            is_open=lambda number: self._listener.is_open(number),
            on_defect=lambda number, exc: self._listener.defect(number, exc),
        )
        self.commands = SessionCommands(self._command_sink())
        self._attach: Callable[..., AttachCall] = channel.stream_stream(
            _ATTACH, request_serializer=None, response_deserializer=pb.AttachResponse.FromString
        )
        self._metadata = bearer(service_token)
        self._edge_id = edge_id
        self._backoff = backoff
        self._deadline_s = deadline_s
        self._greeting: asyncio.Timeout
        self._draining = False
        self._listener: StreamListener
        self._tasks: list[asyncio.Task[None]] = []

    def _command_sink(self) -> CommandSink:
        """Return where the core's commands go."""
        return self._queue

    @property
    def live(self) -> bool:
        """The stream is attached, and what lives here is in force there."""
        return self._queue.live

    @property
    def pending(self) -> int:
        """How many commands wait for an answer."""
        return len(self._queue)

    @property
    def oldest_pending_s(self) -> float:
        """For how long the command waits that waits longest, in seconds."""
        return self._queue.oldest_s()

    def start(self, listener: StreamListener) -> None:
        """Attach, and stay attached until `stop`."""
        self._listener = listener
        self._tasks = [asyncio.create_task(self._stay_attached()), asyncio.create_task(self._sweep())]

    async def stop(self) -> None:
        """Detach; pending commands are answered as unavailable."""
        await end_tasks(*self._tasks, again_s=END_S)
        self._queue.fail_all("the edge is stopping")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self._queue.expire()

    # The stream.

    async def _stay_attached(self) -> None:
        failures = 0
        while True:
            attached_before = self.stats.attached
            self._draining = False
            try:
                await self._attach_once()
                cause = "the session service drains" if self._draining else "the session service ended the stream"
            except grpc.aio.AioRpcError as exc:
                cause = f"{exc.code().name}: {exc.details()}"
            except TimeoutError:
                cause = "the session service did not greet in time"
            if self.stats.attached != attached_before:
                failures = 0
            else:
                failures += 1
                self.stats.attach_failures += 1
            if failures <= 1 or failures % 10 == 0:
                log.warning("session stream is down", cause=cause, pending=self.pending)
            # The channel passes by a service that drains. If its news of that has not come yet, the attempt is refused, and
            # the next one waits as any other.
            if not self._draining:
                await asyncio.sleep(self._backoff(failures))

    async def _attach_once(self) -> None:
        self._queue.cut()
        call = self._attach(metadata=self._metadata, wait_for_ready=False)
        # A task of ours, not a request iterator: gRPC leaves the iterator of a call that has failed waiting, and it would
        # take commands that are meant for the next call.
        writer = asyncio.create_task(self._write(call))
        writer.add_done_callback(lambda _: call.cancel())
        try:
            async with asyncio.timeout(2 * self._deadline_s) as self._greeting:
                async for response in call:
                    for event in response.events:
                        try:
                            self._handle(event)
                        except Exception as exc:
                            self._listener.defect(event.session, exc)
                    self.stats.events += len(response.events)
                    self.stats.batches_received += 1
                    if self._draining:
                        return
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # The call was cancelled, not this task: its writer has a defect, which is told below.
        finally:
            self._queue.cut()
            writer.cancel()
            call.cancel()
            (problem,) = await asyncio.gather(writer, return_exceptions=True)
            if isinstance(problem, Exception) and not isinstance(problem, ENDED):
                self._listener.defect(0, problem)

    async def _write(self, call: AttachCall) -> None:
        """Send batches of commands: the greeting and the replay first, then what was gathered since the last batch."""
        for batch in _batches([pb.Command(hello=pb.Hello(edge_id=self._edge_id))]):
            await call.write(batch)
        for batch in _batches(self._replay()):
            await call.write(batch)
        while True:
            for batch in _batches(await self._queue.take()):
                await call.write(batch)
                self.stats.batches_sent += 1
            await asyncio.sleep(GATHER_S)

    def _replay(self) -> list[pb.Command]:
        """Return all that lives here, then what is pending; from now on commands are sent behind it."""
        replay = [open_session(who, inbox, None) for who, inbox in self._listener.sessions()]
        replay += [resubscribe(*subscription) for subscription in self._listener.subscriptions()]
        replay.append(pb.Command(replay_done=pb.ReplayDone()))
        return replay + self._queue.go_live()

    def _handle(self, event: pb.Event) -> None:
        kind = event.WhichOneof("event")
        if kind == "delivery":
            self._listener.deliver(event.delivery.topic, message_of(event.delivery))
        elif event.ref:
            self._queue.answer(event, kind)
        elif kind is not None:
            self._notice(event, kind)

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
            self._greeting.reschedule(None)
            self.stats.attached += 1
            self.service_id = event.welcome.service_id
            log.info("session stream is attached", service_id=self.service_id, edge_id=self._edge_id)
        elif kind == "draining":
            self._draining = True
            self.stats.drained += 1
        elif kind == "failed":
            log.error("session service refused a command", message=event.failed.message)


def _batches(commands: Sequence[pb.Command]) -> list[bytes]:
    """Return commands as the bytes of as many `AttachRequest` as their bound asks for; each command is encoded once."""
    batches: list[bytes] = []
    records: list[bytes] = []
    size = 0
    for command in commands:
        encoded = record(_COMMANDS_TAG, command.SerializeToString())
        if records and (size + len(encoded) > MAX_BATCH_BYTES or len(records) >= MAX_COMMANDS_PER_BATCH):
            batches.append(b"".join(records))
            records, size = [], 0
        records.append(encoded)
        size += len(encoded)
    if records:
        batches.append(b"".join(records))
    return batches
