"""One client of the load: sends, and counts what it is sent. Whether it was away in between makes no difference to that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from tidewire_client.load.client_frames import ServerFrame, decode_presence, decode_problem
from tidewire_client.load.connection import Ended
from tidewire_client.load.environment import Environment, now_us
from tidewire_client.load.ledger import ClientLedger
from tidewire_client.load.messages import read_message
from tidewire_client.load.outgoing import Outgoing
from tidewire_client.load.plan import ClientPlan
from tidewire_client.load.session import Session, StepFailed

STAYED: Final = "stayed connected"


class LoadClient(Session):
    """A client.

    Args:
        env: Of its process.
        plan: What it is.

    Attributes:
        ledger: What came.
        outgoing: What it sends; None: it sends nothing.
        fate: Of one that stops to read: how its connection ended.
    """

    __slots__ = ("fate", "ledger", "outgoing")

    def __init__(self, env: Environment, plan: ClientPlan) -> None:
        super().__init__(env, plan)
        self.ledger = ClientLedger()
        self.outgoing = Outgoing(env, plan) if plan.stream is not None else None
        self.fate = STAYED

    def publish(self, due_us: int) -> None:
        """Send a message, which was due at a moment of the monotonic clock, in microseconds."""
        if self.outgoing is None or not self.authenticated:
            self._env.counters.unsent += 1
        else:
            self.send(self.outgoing.next_frame(due_us))

    def ended(self, how: Ended) -> None:
        """Note the end, also of what was under way."""
        if self.outgoing is not None:
            self.outgoing.cut_off()
        super().ended(how)

    def lost(self, how: Ended, farewell: StepFailed | None) -> None:
        """Count a connection that nobody here has ended; of one that stops to read that is no surprise."""
        if self.plan.slow:
            self.fate = how.why
            return
        self._env.counters.dropped += 1
        self._env.counters.because(f"dropped: {how.why}{f' ({farewell})' if farewell else ''}")

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
            if self.replay_until and offset <= self.replay_until.get(channel, -1):
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
        if self.outgoing is None or not self.outgoing.refused(frame.id or "", decode_problem(frame.data).error_type):
            self.on_error(frame)

    handlers: ClassVar[Mapping[str, Callable[[Any, ServerFrame], None]]] = {
        "chat_message": _on_message,
        "message_delivered": _on_delivered,
        "presence_update": _on_presence,
        "connection_success": Session.on_welcome,
        "subscription_success": Session.on_subscription,
        "unsubscription_success": Session.on_unsubscription,
        "error": _on_error,
        "disconnect": Session.on_goodbye,
    }
