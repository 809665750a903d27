"""What session services say to Redis, and to each other through it, about presence: names, bytes, questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from session_service.adapters.redis_access.commands import (
    HEARTBEAT,
    PRESENCE_DROP,
    PRESENCE_ENTER,
    PRESENCE_LEAVE,
    Command,
    Part,
)
from session_service.core.model import Member
from session_service.core.ports import MAX_LEASE_S, DisconnectOrder
from session_service.core.presence_notes import Batch

DROP_STEP: Final = 500
_SUFFIX: Final = "}:presence"


class Entry(msgspec.Struct, array_like=True):
    """A client on a service, as `redis_access/scripts/presence.lua` keeps it."""

    service: str
    connection_type: str
    join_time_ms: int


class Change(msgspec.Struct, array_like=True):
    """A client joined or left, as it is published."""

    joined: int
    client_id: str
    connection_type: str
    join_time_ms: int

    @property
    def member(self) -> Member:
        """Who it was."""
        return Member(self.client_id, self.connection_type, self.join_time_ms)


class WrittenQuestion(msgspec.Struct, tag="written"):
    """How many members was a message sent to?"""

    ref: str
    process: str
    topic: str
    offset: int


class DisconnectQuestion(msgspec.Struct, tag="disconnect"):
    """Close a client's connections: how many were there?"""

    ref: str
    process: str
    order: DisconnectOrder


class Answer(msgspec.Struct):
    """A service's answer to the question with this ref."""

    ref: str
    process: str
    count: int


class Hello(msgspec.Struct, tag="hello"):
    """A service says this to itself, to know that it hears."""

    process: str


class Farewell(msgspec.Struct, tag="farewell"):
    """A service ends: it answers nothing any more."""

    process: str


Question = WrittenQuestion | DisconnectQuestion

encode: Final = msgspec.json.Encoder().encode
decode_question: Final = msgspec.json.Decoder(Question | Hello | Farewell).decode
decode_answer: Final = msgspec.json.Decoder(Answer).decode
decode_changes: Final = msgspec.msgpack.Decoder(list[Change]).decode
_decode_entries: Final = msgspec.msgpack.Decoder(list[Entry]).decode

MalformedWords = msgspec.MsgspecError
"""What decoding raises."""


def process_of(service: str) -> str:
    """Return the process of a service: a process whose lease was lost goes on as another service."""
    return service.partition(".")[0]


def decode_presence(reply: Sequence[bytes]) -> dict[str, list[Entry]]:
    """Return the entries of each client, as HGETALL gives them."""
    return {client.decode(): _decode_entries(packed) for client, packed in zip(reply[::2], reply[1::2], strict=True)}


def member_of(client_id: str, entries: Sequence[Entry]) -> Member:
    """Return a client by its earliest entry, which is what the scripts publish."""
    first = min(entries, key=lambda entry: entry.join_time_ms)
    return Member(client_id, first.connection_type, first.join_time_ms)


class Words:
    """Names of keys and channels, and the commands on them.

    A channel that tells of a key has the key's name or its hash tag: it is published where the key is, and when it is heard
    anew the key may be with another server.

    Args:
        namespace: Stands before every one.
        publish: `PUBLISH` or `SPUBLISH`.
    """

    def __init__(self, namespace: str, publish: str) -> None:
        self._publish = publish
        self._prefix = f"{namespace}:session:" + "{"
        self._skip = len(self._prefix.encode())
        self._topics_of = f"{namespace}:session:presence-of:"
        self.services = f"{namespace}:session:services"
        self.questions = self.services

    def presence(self, topic: str) -> str:
        """Return the key of a topic's presence, and the channel of its changes."""
        return f"{self._prefix}{topic}{_SUFFIX}"

    def topic_of(self, channel: bytes) -> str | None:
        """Return the topic of a presence channel; None: it is another channel."""
        name = channel.decode()
        return name[self._skip : -len(_SUFFIX)] if name.startswith(self._prefix) else None

    def topics_of(self, service: str) -> str:
        """Return the key of the topics in which a service has entries."""
        process, _, generation = service.partition(".")
        return f"{self._topics_of}{{{process}}}.{generation}"

    def answers(self, process: str) -> str:
        """Return the channel in which a process is answered."""
        return f"{self._topics_of}{{{process}}}"

    def heartbeat(self, service: str, lease_ms: int, *, is_new: bool) -> Command:
        """Return the command that renews a lease."""
        return HEARTBEAT.call((self.services,), service, lease_ms, int(is_new), MAX_LEASE_S * 1000)

    def tell(self, batch: Batch, service: str) -> list[Command]:
        """Return the commands that say what a batch says."""
        key = self.presence(batch.topic)
        head: tuple[Part, ...] = (self._publish, key, process_of(service))
        commands = []
        if batch.present:
            clients: list[Part] = [part for member in batch.present for part in member]
            commands.append(PRESENCE_ENTER.call((key,), *head, service, *clients))
        if batch.gone:
            commands.append(PRESENCE_LEAVE.call((key,), *head, *batch.gone))
        return commands

    def read(self, topic: str) -> Command:
        """Return the command that reads who is present."""
        key = self.presence(topic)
        return Command(key, ("HGETALL", key))

    def drop(self, topic: str, service: str, cursor: Part) -> Command:
        """Return the command that drops entries of a dead service."""
        key = self.presence(topic)
        return PRESENCE_DROP.call((key,), self._publish, key, service, cursor, DROP_STEP)

    def publish(self, channel: str, payload: bytes) -> Command:
        """Return the command that publishes."""
        return Command(channel, (self._publish, channel, payload))
