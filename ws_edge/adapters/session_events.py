"""From the session service's protobuf events to the core's values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tidewire.session.v1 import edge_stream_pb2 as pb
from tidewire.session.v1 import message_pb2

from ws_edge.core.ports import (
    Answer,
    Failed,
    FailureKind,
    HistoryPage,
    Joined,
    Left,
    Member,
    Opened,
    Position,
    PresenceList,
    Published,
    ReceiptState,
    StoredMessage,
)

FAILURES: Final[Mapping[int, FailureKind]] = {
    message_pb2.ERROR_REASON_INVALID_FIELD: FailureKind.INVALID,
    message_pb2.ERROR_REASON_ENGINE_UNAVAILABLE: FailureKind.UNAVAILABLE,
    message_pb2.ERROR_REASON_AUTH_UNAVAILABLE: FailureKind.UNAVAILABLE,
    message_pb2.ERROR_REASON_DRAINING: FailureKind.UNAVAILABLE,
    message_pb2.ERROR_REASON_ENGINE_TIMEOUT: FailureKind.TIMEOUT,
    message_pb2.ERROR_REASON_LIMIT_EXCEEDED: FailureKind.LIMIT,
    message_pb2.ERROR_REASON_CHANNEL_LIMIT: FailureKind.CHANNEL_LIMIT,
}

_RECOVERY_FAILURES: Final[Mapping[int, str]] = {
    message_pb2.RECOVERY_FAILURE_HISTORY_EXPIRED: "history_expired",
    message_pb2.RECOVERY_FAILURE_EPOCH_CHANGED: "epoch_changed",
}


def recovery_failure(failure: int) -> str | None:
    """Return the reason as clients see it; None when nothing is missing."""
    return _RECOVERY_FAILURES.get(failure)


def position_of(position: message_pb2.Position) -> Position:
    """Return a position."""
    return Position(position.epoch, position.offset)


def member_of(member: message_pb2.Member) -> Member:
    """Return a member."""
    return Member(member.client_id, member.connection_type, member.join_time_ms)


def message_of(message: message_pb2.Message) -> StoredMessage:
    """Return a message."""
    return StoredMessage(
        message.type,
        message.id,
        message.client_id,
        message.epoch,
        message.offset,
        message.time_ms,
        message.data,
    )


def messages_of(messages: Iterable[message_pb2.Message]) -> list[StoredMessage]:
    """Return messages in the same order."""
    return [message_of(message) for message in messages]


def _opened(event: pb.Event) -> Answer:
    answer = event.session_opened
    return Opened(
        position_of(answer.broadcasts),
        position_of(answer.inbox),
        messages_of(answer.inbox_missed),
        recovery_failure(answer.inbox_failure),
        messages_of(answer.broadcasts_missed),
        recovery_failure(answer.broadcasts_failure),
    )


def _joined(event: pb.Event) -> Answer:
    answer = event.joined
    failure = recovery_failure(answer.failure)
    return Joined(position_of(answer.position), answer.recovered, failure, messages_of(answer.missed))


def _left(event: pb.Event) -> Answer:
    return Left()


def _published(event: pb.Event) -> Answer:
    return Published(event.published.id, position_of(event.published.position))


def _history(event: pb.Event) -> Answer:
    page = event.history
    return HistoryPage(messages_of(page.messages), position_of(page.newest), page.more, recovery_failure(page.failure))


def _presence(event: pb.Event) -> Answer:
    return PresenceList([member_of(member) for member in event.presence.members])


def _receipt(event: pb.Event) -> Answer:
    receipt = event.receipt
    return ReceiptState(position_of(receipt.position), receipt.written, receipt.acknowledged)


def failure_of(failed: pb.CommandFailed) -> Failed:
    """Return why a command was not done."""
    kind = FAILURES.get(failed.reason, FailureKind.INTERNAL)
    return Failed(kind, failed.message or "The session service could not do it", failed.safe_to_repeat)


_ANSWERS: Final[Mapping[str, Callable[[pb.Event], Answer]]] = {
    "session_opened": _opened,
    "joined": _joined,
    "left": _left,
    "published": _published,
    "history": _history,
    "presence": _presence,
    "receipt": _receipt,
    "failed": lambda event: failure_of(event.failed),
}


def answer_of(event: pb.Event, kind: str | None) -> Answer:
    """Return an event that answers a command; what this edge does not know is a failure, not a crash."""
    make = _ANSWERS.get(kind or "")
    if make is None:
        return Failed(FailureKind.INTERNAL, "The session service gave an unknown answer", False)
    return make(event)
