"""The values of the session service: positions, messages, members, threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple

MESSAGE_OVERHEAD_BYTES: Final = 192
"""What a message weighs besides its data and topic, on the wire and in memory: its share of every bound in bytes."""


class Position(NamedTuple):
    """After the message with this offset, in this life (epoch) of the channel; offset 0: before the first."""

    epoch: str
    offset: int


class NewMessage(NamedTuple):
    """A message that is to be stored; `data` is a JSON object in UTF-8, kept byte for byte."""

    topic: str
    type: str
    id: str
    client_id: str
    data: bytes
    thread_id: str = ""


class StoredMessage(NamedTuple):
    """A message with its place in its channel."""

    topic: str
    type: str
    id: str
    client_id: str
    epoch: str
    offset: int
    time_ms: int
    data: bytes


class Stored(NamedTuple):
    """The engine's answer to an append: the message is stored there, now or by an earlier append with the same id."""

    epoch: str
    offset: int
    time_ms: int
    duplicate: bool


class Page(NamedTuple):
    """Part of a channel, as it was at one moment.

    `low`: messages up to this offset are no longer kept. `more`: there are newer ones than the last of `messages`.
    `formers`: earlier epochs, and up to which offset each is the same as this one; behind it, its messages were lost.
    The epoch of a channel that was never used is empty.
    """

    epoch: str
    head: int
    low: int
    messages: Sequence[StoredMessage]
    more: bool
    formers: Mapping[str, int] = MappingProxyType({})


class RecoveryFailure(Enum):
    """Why not everything that was asked for of the past can be given."""

    HISTORY_EXPIRED = "history_expired"
    EPOCH_CHANGED = "epoch_changed"


class Member(NamedTuple):
    """A client in a channel; `join_time_ms` is the time of its first connection there."""

    client_id: str
    connection_type: str
    join_time_ms: int


class Thread(NamedTuple):
    """A named conversation of a workspace."""

    thread_id: str
    domain: str
    workspace: str
    title: str
    channel: str
    created_by: str
    create_time_ms: int
    message_count: int
    last_message_time_ms: int
    metadata: bytes


class ThreadPage(NamedTuple):
    """Threads, newest first; `next_token` 0: this was the last page."""

    threads: Sequence[Thread]
    next_token: int
    total: int


class ThreadMessages(NamedTuple):
    """Messages of a thread in the order they were stored; `next_token` 0: this was the last page."""

    messages: Sequence[StoredMessage]
    next_token: int
    total: int


def weight(message: StoredMessage) -> int:
    """Return what a message counts in bounds that are in bytes."""
    return len(message.data) + len(message.topic) + MESSAGE_OVERHEAD_BYTES
