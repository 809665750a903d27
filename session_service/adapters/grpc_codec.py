"""From the core's values to protobuf, and to the bytes of one event of the edge stream.

`AttachResponse` is a list of events, so its bytes are those of its events, each behind a tag and a length: an event is encoded
once, however many edges it goes to. The two events of every message (`delivery`, `published`) are filled
in place: to put a message into another one copies it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import message_pb2, threads_pb2

from service_runtime.protobuf_wire import record, tag
from session_service.core.model import Member, Position, RecoveryFailure, Stored, StoredMessage, Thread

_EVENTS_TAG: Final = tag(pb.AttachResponse, "events")
_FAILURES: Final[Mapping[RecoveryFailure | None, message_pb2.RecoveryFailure.ValueType]] = {
    None: message_pb2.RECOVERY_FAILURE_UNSPECIFIED,
    RecoveryFailure.HISTORY_EXPIRED: message_pb2.RECOVERY_FAILURE_HISTORY_EXPIRED,
    RecoveryFailure.EPOCH_CHANGED: message_pb2.RECOVERY_FAILURE_EPOCH_CHANGED,
}


def framed(event: pb.Event) -> bytes:
    """Return an event as its part of an `AttachResponse`."""
    return record(_EVENTS_TAG, event.SerializeToString())


def framed_delivery(stored: StoredMessage, traceparent: str = "") -> bytes:
    """Return the event `delivery` of a message as its part of an `AttachResponse`.

    Args:
        stored: The message.
        traceparent: The span that it belongs to; empty: it is not traced.
    """
    event = pb.Event()
    if traceparent:
        event.traceparent = traceparent
    fill = event.delivery
    fill.topic, fill.type, fill.id, fill.client_id, fill.epoch, fill.offset, fill.time_ms, fill.data = stored
    return record(_EVENTS_TAG, event.SerializeToString())


def framed_published(ref: int, session: int, topic: str, message_id: str, stored: Stored) -> bytes:
    """Return the event `published`, the answer to a command, as its part of an `AttachResponse`."""
    event = pb.Event(ref=ref, session=session)
    fill = event.published
    fill.topic, fill.id = topic, message_id
    fill.position.epoch, fill.position.offset, fill.time_ms, fill.duplicate = stored
    return record(_EVENTS_TAG, event.SerializeToString())


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
