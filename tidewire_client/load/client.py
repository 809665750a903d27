"""One client of the load: connects, joins, comes back where it had left, and counts what it is sent.

Its invariant: a position is kept for each channel that it is in, and moves with each message. So whoever was away gets what
it missed, and the ledger goes on as if nothing had been.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec

from tidewire_client.load.client_frames import (
    CONNECT,
    Position,
    ServerFrame,
    connect_frame,
    decode_frame,
    decode_goodbye,
    decode_presence,
    decode_problem,
    decode_subscription,
    join_frame,
    leave_frame,
    step_id,
)
from tidewire_client.load.connection import EdgeSocket, Ended
from tidewire_client.load.dialling import dial
from tidewire_client.load.environment import Environment, now_us
from tidewire_client.load.ledger import ClientLedger
from tidewire_client.load.messages import read_message
from tidewire_client.load.outgoing import Outgoing
from tidewire_client.load.plan import ClientPlan
from tidewire_client.retry import backoff_s

# Longer than the edge's own deadlines.
ATTEMPT_S: Final = 15.0
STAYED: Final = "stayed connected"
# Errors after which the same frame may be sent again ("Errors").
_PASSING: Final = frozenset({"rate_limited", "timeout", "unavailable"})


class StepFailed(Exception):
    """A client did not get what it asked for.

    Args:
        why: In a few words.
        final: Trying again does not help.
        retry_after_s: When the server wants to see it again; None: it did not say.
    """

    def __init__(self, why: str, *, final: bool = False, retry_after_s: float | None = None) -> None:
        self.final = final
        self.retry_after_s = retry_after_s
        super().__init__(why)


class LoadClient:
    """A client.

    Args:
        env: Of its process.
        plan: What it is.
    """

    __slots__ = (
        "_awaited",
        "_connecting",
        "_dismissed",
        "_env",
        "_farewell",
        "_replay_until",
        "_resend",
        "_socket",
        "_step",
        "authenticated",
        "fate",
        "ledger",
        "outgoing",
        "plan",
        "positions",
    )

    def __init__(self, env: Environment, plan: ClientPlan) -> None:
        self._env = env
        self.plan = plan
        self.ledger = ClientLedger()
        self.outgoing = Outgoing(env, plan) if plan.stream is not None else None
        self.positions: dict[str, Position] = {}
        self.authenticated = False
        self.fate = STAYED
        self._socket: EdgeSocket | None = None
        self._step: asyncio.Future[None] | None = None
        self._awaited: set[str] = set()
        self._resend: dict[str, bytes] = {}
        self._replay_until: dict[str, int] = {}
        self._farewell: StepFailed | None = None
        self._connecting = False
        self._dismissed = False

    @property
    def client_id(self) -> str:
        """Its id at the edge."""
        return self._env.client_id(self.plan.number)

    # What it is told to do.

    async def connect(self) -> None:
        """Connect, authenticate and join, and try again until the time for it is over.

        Raises:
            StepFailed: It did not come about.
        """
        deadline_s = time.monotonic() + self._env.target.timeout_s
        attempt = 0
        while True:
            try:
                await self._attempt(deadline_s - time.monotonic())
                return
            except StepFailed as failed:
                wait_s = backoff_s(attempt) if failed.retry_after_s is None else failed.retry_after_s
                if failed.final or self._env.stopping or time.monotonic() + wait_s >= deadline_s:
                    raise
            if not await self._env.wait_until(time.monotonic() + wait_s):
                raise StepFailed("interrupted", final=True)
            attempt += 1

    async def change_membership(self, channel: str, *, join: bool) -> None:
        """Join or leave a channel, and return when the server says so.

        Raises:
            StepFailed: It does not.
        """
        if not self.authenticated:
            raise StepFailed("not connected")
        step = self._step = asyncio.get_running_loop().create_future()
        self._ask(channel, join_frame(channel, presence=False) if join else leave_frame(channel))
        try:
            async with asyncio.timeout(self._env.target.timeout_s):
                await step
        except TimeoutError:
            raise StepFailed("no answer in time") from None
        finally:
            self._drop(step)

    def cut(self) -> None:
        """End its connection without a word; it does not come back by itself."""
        self._dismissed = True
        if self._socket is not None:
            self._socket.cut()

    def close(self) -> None:
        """Say goodbye; it does not come back."""
        self._dismissed = True
        if self._socket is not None:
            self._socket.close()

    def send(self, text: bytes) -> None:
        """Send a frame."""
        if self._socket is not None:
            self._socket.send(text)

    def set_reading(self, *, reading: bool) -> None:
        """Stop to read, or go on."""
        if self._socket is not None:
            if reading:
                self._socket.resume_reading()
            else:
                self._socket.pause_reading()

    def leave_and_return(self) -> None:
        """Cut the connection and come back at once."""
        if self.authenticated:
            self.cut()
            self._come_back(0.0, now_us())

    # How it connects.

    async def _attempt(self, left_s: float) -> None:
        step = self._step = asyncio.get_running_loop().create_future()
        self._connecting, self._dismissed, self._farewell = True, False, None
        self._awaited, self._resend = set(self.plan.channels) | set(self.positions), {}
        self._socket = EdgeSocket(self, self._env.host_header, self._env.path + self.client_id)
        socket = self._socket
        try:
            async with asyncio.timeout(min(ATTEMPT_S, max(0.01, left_s))):
                await dial(self._env, socket, small_buffer=self.plan.small_buffer)
                await step
        except TimeoutError:
            raise self._gave_up(socket, "no answer in time") from None
        except OSError as exc:
            raise self._gave_up(socket, f"cannot connect: {exc.strerror or exc.__class__.__name__}") from None
        except StepFailed as failed:
            socket.cut()
            raise failed from None
        except asyncio.CancelledError:
            self._dismissed = True
            socket.cut()
            raise
        finally:
            self._connecting = False
            self._drop(step)

    def _gave_up(self, socket: EdgeSocket, why: str) -> StepFailed:
        self._dismissed = True
        socket.cut()
        return StepFailed(why)

    def _drop(self, step: asyncio.Future[None]) -> None:
        self._step = None if self._step is step else self._step
        if step.done() and not step.cancelled():
            step.exception()  # It is known, or nobody asks for it any more.

    def _come_back(self, wait_s: float, since_us: int) -> None:
        task = asyncio.get_running_loop().create_task(self._back(wait_s, since_us))
        self._env.tasks.add(task)
        task.add_done_callback(self._env.tasks.discard)

    async def _back(self, wait_s: float, since_us: int) -> None:
        counters = self._env.counters
        await asyncio.sleep(wait_s)
        try:
            await self.connect()
        except StepFailed as failed:
            counters.not_back += not self._env.interrupted.is_set()
            counters.because(f"not back: {failed}")
        else:
            counters.reconnected += 1
            self._env.tick_back.record(now_us() - since_us)

    # What its connection tells it.

    def opened(self) -> None:
        """Authenticate."""
        text = connect_frame(self._env.target.login, self.positions)
        self._resend[CONNECT] = text
        self.send(text)

    def received(self, text: bytes) -> None:
        """Take in a frame."""
        try:
            frame = decode_frame(text)
            handler = _HANDLERS.get(frame.type)
            if handler is not None:
                handler(self, frame)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._env.counters.because("the server sent something that is no frame")
            if self._socket is not None:
                self._socket.cut()

    def ended(self, how: Ended) -> None:
        """Note the end; come back, unless it was the load that ended it."""
        env, was_in = self._env, self.authenticated
        self.authenticated, self._socket = False, None
        env.counters.open -= was_in
        if env.stopping and not env.counters.open:
            env.all_gone.set()
        if self.outgoing is not None:
            self.outgoing.cut_off()
        farewell = self._farewell
        # An edge that is not ready answers so; any other answer is for good.
        final = how.http_status is not None and how.http_status not in (429, 502, 503, 504)
        failed = farewell or StepFailed(how.why, final=final)
        if self._step is not None and not self._step.done():
            self._step.set_exception(failed)
        if self._connecting or self._dismissed or env.stopping or not was_in:
            return
        if self.plan.slow:
            self.fate = how.why
        else:
            env.counters.dropped += 1
            env.counters.because(f"dropped: {how.why}{f' ({farewell})' if farewell else ''}")
        if not failed.final:
            self._come_back(failed.retry_after_s or 0.0, now_us())

    # Frames.

    def _on_welcome(self, _: ServerFrame) -> None:
        self.authenticated = True
        self._env.counters.open += 1
        self._resend.pop(CONNECT, None)
        for channel in self.plan.channels:
            if channel not in self.positions:
                self._ask(channel, join_frame(channel, presence=self.plan.watches))
        self._check_step()

    def _ask(self, channel: str, text: bytes) -> None:
        self._awaited.add(channel)
        self._resend[step_id(channel)] = text
        self.send(text)

    def _on_subscription(self, frame: ServerFrame) -> None:
        data = decode_subscription(frame.data)
        if data.channel.startswith(("*", "@")):
            return
        position = self.positions.get(data.channel)
        if position is None or not data.recovered:
            self.positions[data.channel] = (data.epoch, data.offset)
        else:
            self._replay_until[data.channel] = data.offset
        if not data.recovered:
            self._env.counters.told_lost += 1
            self._env.counters.because(f"told that messages are lost: {data.reason}")
        self._arrived(data.channel)

    def _on_unsubscription(self, frame: ServerFrame) -> None:
        data = decode_subscription(frame.data)
        self.positions.pop(data.channel, None)
        self._arrived(data.channel)

    def _arrived(self, channel: str) -> None:
        self._awaited.discard(channel)
        self._resend.pop(step_id(channel), None)
        self._check_step()

    def _check_step(self) -> None:
        if self.authenticated and not self._awaited and self._step is not None and not self._step.done():
            self._step.set_result(None)

    def _on_message(self, frame: ServerFrame) -> None:
        message = read_message(frame.data, self._env.mark)
        if message is None:
            return
        env = self._env
        env.counters.delivered += 1
        self.ledger.take(message.stream, message.number)
        latency_us = now_us() - message.due_us
        channel, offset = frame.channel, frame.offset
        if channel is not None and offset is not None and frame.epoch is not None:
            if channel in self.positions:
                self.positions[channel] = (frame.epoch, offset)
            if self._replay_until and offset <= self._replay_until.get(channel, -1):
                env.catch_up.record(latency_us)
                return
        if self.plan.slow:
            env.catch_up.record(latency_us)
        else:
            env.took(latency_us)

    def _on_presence(self, frame: ServerFrame) -> None:
        data, env = decode_presence(frame.data), self._env
        number = data.member.client_id.rpartition("-")[2]
        if not number.isdecimal() or data.member.client_id != env.client_id(int(number)):
            return
        if int(number) not in self.plan.hears:
            return
        env.counters.delivered += 1
        # Joins are even, leaves odd: what is not of this phase is late, from the one before.
        phase = env.presence_phase
        phase -= (phase % 2 == 0) != (data.event == "join")
        self.ledger.take(int(number), max(0, phase))
        env.took(now_us() - env.presence_due_us)

    def _on_delivered(self, frame: ServerFrame) -> None:
        if self.outgoing is not None and frame.id is not None:
            self.outgoing.confirmed(frame.id)

    def _on_error(self, frame: ServerFrame) -> None:
        problem, frame_id = decode_problem(frame.data), frame.id or ""
        if self.outgoing is not None and self.outgoing.refused(frame_id, problem.error_type):
            return
        text, wait_ms = self._resend.get(frame_id), problem.retry_after_ms
        if text is not None and problem.error_type in _PASSING:
            wait_s = backoff_s(2) if wait_ms is None else wait_ms / 1000
            asyncio.get_running_loop().call_later(wait_s, self._again, frame_id, text)
            return
        why = f"{problem.error_type}: {problem.message}"
        if text is None or self._step is None or self._step.done():
            self._env.counters.because(why)
            self._farewell = self._farewell or StepFailed(why)
            return
        self._step.set_exception(StepFailed(why, final=True))

    def _again(self, frame_id: str, text: bytes) -> None:
        if self._resend.get(frame_id) == text:
            self.send(text)

    def _on_goodbye(self, frame: ServerFrame) -> None:
        data = decode_goodbye(frame.data)
        wait_s = None if data.retry_after_ms is None else data.retry_after_ms / 1000
        self._farewell = StepFailed(data.reason, final=not data.reconnect, retry_after_s=wait_s)


_HANDLERS: Final[dict[str, Callable[[LoadClient, ServerFrame], None]]] = {
    "chat_message": LoadClient._on_message,
    "message_delivered": LoadClient._on_delivered,
    "presence_update": LoadClient._on_presence,
    "connection_success": LoadClient._on_welcome,
    "subscription_success": LoadClient._on_subscription,
    "unsubscription_success": LoadClient._on_unsubscription,
    "error": LoadClient._on_error,
    "disconnect": LoadClient._on_goodbye,
}
