"""How a client of the load gets in, and comes back where it had left.

Its invariant: a position is kept for each channel that the client is in, and moves with each message. So whoever was away gets
what it missed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import msgspec

from tidewire_client.load.client_frames import (
    CONNECT,
    Position,
    ServerFrame,
    connect_frame,
    decode_frame,
    decode_goodbye,
    decode_problem,
    decode_subscription,
    join_frame,
    leave_frame,
    step_id,
)
from tidewire_client.load.connection import EdgeSocket, Ended
from tidewire_client.load.dialling import dial
from tidewire_client.load.environment import Environment, now_us
from tidewire_client.load.plan import ClientPlan
from tidewire_client.retry import backoff_s

# Longer than the edge's own deadlines.
ATTEMPT_S: Final = 15.0
# Errors after which the same frame may be sent again (`docs/protocol.md`, "Errors").
_PASSING: Final = frozenset({"rate_limited", "timeout", "unavailable"})
# Answers to an upgrade after which the edge may be ready.
_NOT_READY: Final = frozenset({429, 502, 503, 504})


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


class Session:
    """A client as far as being there goes; what it does there is for subclasses.

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
        "_resend",
        "_socket",
        "_step",
        "authenticated",
        "plan",
        "positions",
        "replay_until",
    )
    # What is done with each type of frame; subclasses have more.
    handlers: ClassVar[Mapping[str, Callable[[Any, ServerFrame], None]]]

    def __init__(self, env: Environment, plan: ClientPlan) -> None:
        self._env = env
        self.plan = plan
        self.positions: dict[str, Position] = {}
        self.replay_until: dict[str, int] = {}
        self.authenticated = False
        self._socket: EdgeSocket | None = None
        self._step: asyncio.Future[None] | None = None
        self._awaited: set[str] = set()
        self._resend: dict[str, bytes] = {}
        self._farewell: StepFailed | None = None
        self._connecting = False
        self._dismissed = False

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

    def send(self, text: bytes) -> None:
        """Send a frame; nothing happens when it is not connected."""
        if self._socket is not None:
            self._socket.send(text)

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

    def leave_and_return(self) -> None:
        """Cut the connection and come back at once."""
        if self.authenticated:
            self.cut()
            self._come_back(0.0)

    def set_reading(self, *, reading: bool) -> None:
        """Stop to read, or go on."""
        if self._socket is not None:
            if reading:
                self._socket.resume_reading()
            else:
                self._socket.pause_reading()

    def lost(self, how: Ended, farewell: StepFailed | None) -> None:
        """Called when the connection has ended and the load had not ended it."""

    # How it connects.

    async def _attempt(self, left_s: float) -> None:
        step = self._step = asyncio.get_running_loop().create_future()
        self._connecting, self._dismissed, self._farewell = True, False, None
        self._awaited, self._resend = set(self.plan.channels) | set(self.positions), {}
        path = self._env.path + self._env.client_id(self.plan.number)
        socket = self._socket = EdgeSocket(self, self._env.host_header, path)
        try:
            async with asyncio.timeout(min(ATTEMPT_S, max(0.01, left_s))):
                await dial(self._env, socket, small_buffer=self.plan.small_buffer)
                await step
        except TimeoutError:
            raise self._gave_up(socket, "no answer in time") from None
        except OSError as exc:
            raise self._gave_up(socket, f"cannot connect: {exc.strerror or exc.__class__.__name__}") from None
        except (StepFailed, asyncio.CancelledError):
            self.cut()
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

    def _come_back(self, wait_s: float) -> None:
        task = asyncio.get_running_loop().create_task(self._back(wait_s, now_us()))
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
            handler = self.handlers.get(frame.type)
            if handler is not None:
                handler(self, frame)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._env.counters.because("the server sent something that is no frame")
            if self._socket is not None:
                self._socket.cut()

    def ended(self, how: Ended) -> None:
        """Note the end; come back, unless it was the load that ended it."""
        env, was_in, farewell = self._env, self.authenticated, self._farewell
        self.authenticated, self._socket = False, None
        env.counters.open -= was_in
        if env.stopping and not env.counters.open:
            env.all_gone.set()
        final = how.http_status is not None and how.http_status not in _NOT_READY
        failed = farewell or StepFailed(how.why, final=final)
        if self._step is not None and not self._step.done():
            self._step.set_exception(failed)
        if self._connecting or self._dismissed or env.stopping or not was_in:
            return
        self.lost(how, farewell)
        if not failed.final:
            self._come_back(failed.retry_after_s or 0.0)

    # Frames.

    def on_welcome(self, _: ServerFrame) -> None:
        """It is let in: join what was not resumed."""
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

    def on_subscription(self, frame: ServerFrame) -> None:
        """It is in a channel."""
        data = decode_subscription(frame.data)
        if data.channel.startswith(("*", "@")):
            return
        if data.channel in self.positions and data.recovered:
            self.replay_until[data.channel] = data.offset
        else:
            self.positions[data.channel] = (data.epoch, data.offset)
        if not data.recovered:
            self._env.counters.told_lost += 1
            self._env.counters.because(f"told that messages are lost: {data.reason}")
        self._arrived(data.channel)

    def on_unsubscription(self, frame: ServerFrame) -> None:
        """It has left a channel."""
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

    def on_error(self, frame: ServerFrame) -> None:
        """A frame was refused: ask again where that may help."""
        problem, frame_id = decode_problem(frame.data), frame.id or ""
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

    def on_goodbye(self, frame: ServerFrame) -> None:
        """The server ends the connection, and says if one may come back."""
        data = decode_goodbye(frame.data)
        wait_s = None if data.retry_after_ms is None else data.retry_after_ms / 1000
        self._farewell = StepFailed(data.reason, final=not data.reconnect, retry_after_s=wait_s)
