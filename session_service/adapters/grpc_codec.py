"""From the core's values to protobuf, and to the bytes of one event of the edge stream.

`AttachResponse` is a list of events, so its bytes are those of its events, each behind a tag and a length: an event is encoded
once, however many edges it goes to. (Protocol Buffers Encoding, "Length-Delimited Records")
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import message_pb2, threads_pb2

from session_service.core.model import Member, Position, RecoveryFailure, StoredMessage, Thread

_EVENTS_TAG: Final = b"\x0a"
_FAILURES: Final[Mapping[RecoveryFailure | None, message_pb2.RecoveryFailure.ValueType]] = {
    None: message_pb2.RECOVERY_FAILURE_UNSPECIFIED,
    RecoveryFailure.HISTORY_EXPIRED: message_pb2.RECOVERY_FAILURE_HISTORY_EXPIRED,
    RecoveryFailure.EPOCH_CHANGED: message_pb2.RECOVERY_FAILURE_EPOCH_CHANGED,
}


def framed(event: pb.Event) -> bytes:
    """Return an event as its part of an `AttachResponse`."""
    body = event.SerializeToString()
    length = len(body)
    prefix = bytearray(_EVENTS_TAG)
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + body


def message(stored: StoredMessage) -> message_pb2.Message:
    """Return a message."""
    topic, kind, message_id, client_id, epoch, offset, time_ms, data = stored
    return message_pb2.Message(
        topic=topic,
        type=kind,
        id=message_id,
        client_id=client_id,
        epoch=epoch,
        offset=offset,
        time_ms=time_ms,
        data=data,
    )


def messages(stored: Iterable[StoredMessage]) -> list[message_pb2.Message]:
    """Return messages in the same order."""
    return [message(each) for each in stored]


def position(place: Position) -> message_pb2.Position:
    """Return a position."""
    return message_pb2.Position(epoch=place.epoch, offset=place.offset)


def position_of(place: message_pb2.Position) -> Position:
    """Return the position of a request."""
    return Position(place.epoch, place.offset)


def failure(why: RecoveryFailure | None) -> message_pb2.RecoveryFailure.ValueType:
    """Return why something is missing."""
    return _FAILURES[why]


def member(who: Member) -> message_pb2.Member:
    """Return a member."""
    return message_pb2.Member(
        client_id=who.client_id, connection_type=who.connection_type, join_time_ms=who.join_time_ms
    )


def members(who: Iterable[Member]) -> list[message_pb2.Member]:
    """Return members in the same order."""
    return [member(each) for each in who]


def thread(stored: Thread) -> threads_pb2.Thread:
    """Return a thread."""
    return threads_pb2.Thread(**stored._asdict())
