"""Places in a channel and the messages there, as values that know nothing of protobuf."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tidewire.session.v1 import message_pb2

Data = Mapping[str, Any] | bytes

_EPOCH_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a channel: after the message with this offset, in this life of the channel.

    Attributes:
        epoch: Names one life of the channel.
        offset: Of the last message; 0: before the first.
    """

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Return the position that `str()` wrote.

        Raises:
            ValueError: It is not `EPOCH:OFFSET`.
        """
        epoch, _, offset = text.rpartition(":")
        if not epoch or not offset.isascii() or not offset.isdigit():
            raise ValueError("a position is EPOCH:OFFSET, e.g. b7Qk2xV9:42")
        return cls(epoch, int(offset))


@dataclass(frozen=True, slots=True)
class Message:
    """A stored message.

    Attributes:
        channel: Without domain and workspace.
        type: The frame type, e.g. `chat_message`.
        id: The publisher's id for it.
        client_id: Who sent it.
        position: Where it stands.
        time: When it was stored, in UTC.
        data: JSON text of an object in UTF-8, the very bytes that the sender sent.
    """

    channel: str
    type: str
    id: str
    client_id: str
    position: Position
    time: datetime
    data: bytes

    def json(self) -> dict[str, Any]:
        """Return `data`, decoded."""
        decoded: dict[str, Any] = json.loads(self.data)
        return decoded


def data_bytes(data: Data) -> bytes:
    """Return the JSON text of a message's data; bytes are taken as they are.

    Raises:
        TypeError: Something in it has no JSON.
        ValueError: A number is not finite.
    """
    if isinstance(data, bytes):
        return data
    return json.dumps(dict(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def time_of(time_ms: int) -> datetime:
    """Return the moment so many milliseconds after the Unix epoch, exactly, in UTC."""
    return _EPOCH_START + timedelta(milliseconds=time_ms)


def position_of(position: message_pb2.Position) -> Position:
    """Return a position."""
    return Position(position.epoch, position.offset)


def message_of(message: message_pb2.Message) -> Message:
    """Return a message."""
    return Message(
        message.topic.split("/", 2)[-1],
        message.type,
        message.id,
        message.client_id,
        Position(message.epoch, message.offset),
        time_of(message.time_ms),
        message.data,
    )
