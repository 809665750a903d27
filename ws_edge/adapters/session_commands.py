"""From the core's values to the commands of the session service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import message_pb2

from ws_edge.core.ports import Answer, OnAnswer, Position, SessionFacts


class CommandSink(Protocol):
    """Where commands go."""

    def ask(self, command: pb.Command, on_answer: OnAnswer) -> None:
        """Take a command that wants an answer."""

    def tell(self, command: pb.Command) -> None:
        """Take a command that wants none."""

    def close_session(self, number: int) -> None:
        """Take the end of a connection, behind what it has published."""


class SessionCommands:
    """Implements `ws_edge.core.ports.SessionLink`: makes a command of each call.

    Args:
        sink: Where commands go.
    """

    def __init__(self, sink: CommandSink) -> None:
        self._ask = sink.ask
        self._tell = sink.tell
        self._close_session = sink.close_session

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

        self._ask(open_session(who, inbox, broadcasts), answered)
        await done

    def close(self, number: int) -> None:
        """Announce the end of a connection; a new session service is not told of it at all."""
        self._close_session(number)

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
        self._ask(leave(number, topic), on_answer)

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
        command = pb.Command(session=number)
        publish = command.publish  # filled in place: to put a message into another one copies it
        publish.topic = topic
        publish.type = message_type
        publish.id = message_id
        publish.data = data
        if thread_id:
            publish.thread_id = thread_id
        self._ask(command, on_answer)

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
        self._tell(resubscribe(topic, position, numbers, presence))

    def send_canary(self, nonce: str) -> None:
        """Send a message that must come back through the engine."""
        self._tell(pb.Command(send_canary=pb.SendCanary(nonce=nonce)))


def open_session(who: SessionFacts, inbox: Position | None, broadcasts: Position | None) -> pb.Command:
    """Return the command that announces a connection, for the first time or to a new session service."""
    return pb.Command(
        session=who.number,
        open_session=pb.OpenSession(
            inbox=None if inbox is None else _position(inbox),
            broadcasts=None if broadcasts is None else _position(broadcasts),
            client_id=who.client_id,
            domain=who.domain,
            workspace=who.workspace,
            connection_type=who.connection_type,
            key_id=who.key_id,
            session_id=who.session_id,
        ),
    )


def close_session(number: int) -> pb.Command:
    """Return the command that announces the end of a connection."""
    return pb.Command(session=number, close_session=pb.CloseSession())


def leave(number: int, topic: str) -> pb.Command:
    """Return the command that ends a membership."""
    return pb.Command(session=number, leave=pb.Leave(topic=topic))


def resubscribe(topic: str, position: Position, numbers: Sequence[int], presence: Sequence[int]) -> pb.Command:
    """Return the command that asks for what a topic has after a position."""
    return pb.Command(
        resubscribe=pb.Resubscribe(
            topic=topic, position=_position(position), sessions=numbers, presence_sessions=presence
        )
    )


def _position(position: Position) -> message_pb2.Position:
    return message_pb2.Position(epoch=position.epoch, offset=position.offset)
