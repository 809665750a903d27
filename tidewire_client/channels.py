"""The channels of a workspace, for back ends: publish, read and disconnect without a WebSocket.

A message always carries an id, made here before the first attempt if the caller gave none. The session service stores an
id once, so attempts are repeated without fear. The whole call can be repeated after an error by whoever gave the id; for
whoever did not, the error's `safe_to_repeat` is false if the message may be stored.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from tidewire.session.v1 import message_pb2, session_pb2, session_pb2_grpc

from service_runtime.grpc_channel import ClientTls
from tidewire_client.message import Data, Message, Position, data_bytes, message_of, position_of, time_of
from tidewire_client.service_calls import ServiceCalls, ServiceClient

DEFAULT_DEADLINE_S: Final = 5.0
DEFAULT_ATTEMPT_S: Final = 2.0


class Loss(Enum):
    """Why something after a position is missing."""

    HISTORY_EXPIRED = "history_expired"
    EPOCH_CHANGED = "epoch_changed"


@dataclass(frozen=True, slots=True)
class Published:
    """A message is stored.

    Attributes:
        id: Its id.
        position: Where it stands.
        time: When it was stored, in UTC.
        duplicate: It was already stored by an earlier call, or an earlier attempt, with the same id.
    """

    id: str
    position: Position
    time: datetime
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Broadcasted:
    """A broadcast is stored: its id, and where it stands in the workspace's broadcasts."""

    id: str
    position: Position


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Part of a history.

    Attributes:
        messages: Oldest first.
        newest: The newest message of the channel.
        more: There are more after the last one.
        loss: With `since`: why something before the first one is missing; None: nothing is.
    """

    messages: tuple[Message, ...]
    newest: Position
    more: bool
    loss: Loss | None


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a channel: who, how connected, and since when (UTC)."""

    client_id: str
    connection_type: str
    join_time: datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    """How far a message has come: members it was written to, and members that acknowledged it."""

    position: Position
    written: int
    acknowledged: int


_LOSSES: Final = {
    message_pb2.RECOVERY_FAILURE_HISTORY_EXPIRED: Loss.HISTORY_EXPIRED,
    message_pb2.RECOVERY_FAILURE_EPOCH_CHANGED: Loss.EPOCH_CHANGED,
}


class Channels(ServiceClient):
    """The channels of one workspace; `async with` closes the connection at the end.

    Every method raises a `TidewireError` (the tree is in `tidewire_client.errors`), after it was repeated until its
    deadline while the session service was away.

    Args:
        session_target: gRPC target of the session services.
        token: The caller's credential: an API key with the permission that a method names, or the service token.
        client_id: Shown as the sender: 1 to 64 of `A-Z a-z 0-9 _ -`.
        domain: Whose channels.
        workspace: Whose channels.
        credentials: For TLS: fixed ones, or `TlsFiles`, which are read again when they change; None: plain text.
        deadline_s: For each call, repeats included, in seconds.
        attempt_s: For each attempt, in seconds: a service that hangs longer gets another one.
    """

    def __init__(
        self,
        session_target: str,
        *,
        token: str,
        client_id: str,
        domain: str,
        workspace: str,
        credentials: ClientTls | None = None,
        deadline_s: float = DEFAULT_DEADLINE_S,
        attempt_s: float = DEFAULT_ATTEMPT_S,
    ) -> None:
        super().__init__(
            ServiceCalls(
                session_target,
                service="session",
                token=token,
                credentials=credentials,
                deadline_s=deadline_s,
                attempt_s=attempt_s,
            )
        )
        self._stub = session_pb2_grpc.SessionServiceStub(self._calls.channel)
        self._client_id = client_id
        self._domain = domain
        self._workspace = workspace

    async def publish(
        self,
        channel: str,
        data: Data,
        *,
        message_type: str = "channel_message",
        message_id: str | None = None,
        thread_id: str = "",
        client_id: str | None = None,
    ) -> Published:
        """Store a message and deliver it to every member. Permission: `publish`. Idempotent by sender, channel and id.

        Args:
            channel: Its name.
            data: A JSON object; bytes are sent as they are.
            message_type: The frame type.
            message_id: 1 to 64 characters; None: one is made, and used for every attempt.
            thread_id: The thread it belongs to; empty: none.
            client_id: Shown as the sender; None: the one given at the start.
        """
        request = session_pb2.PublishMessageRequest(
            topic=self._topic(channel),
            type=message_type,
            id=message_id or new_message_id(),
            client_id=client_id or self._client_id,
            data=data_bytes(data),
            thread_id=thread_id,
        )
        answer = await self._calls.repeatable(
            self._stub.PublishMessage, request, caller_can_repeat=message_id is not None
        )
        return Published(answer.id, position_of(answer.position), time_of(answer.time_ms), answer.duplicate)

    async def send_direct(
        self, to: str, data: Data, *, message_id: str | None = None, client_id: str | None = None
    ) -> Published:
        """Store a direct message to a client, and deliver it where that client is connected, now or when it returns.

        Permission: `direct`. Idempotent by sender, addressee and id. Arguments are those of `publish`.
        """
        return await self.publish(
            f"@{to}", data, message_type="direct_message", message_id=message_id, client_id=client_id
        )

    async def broadcast(
        self, data: Data, *, message_id: str | None = None, client_id: str | None = None
    ) -> Broadcasted:
        """Publish to every connection of the workspace. Permission: `broadcast`. Idempotent by sender and id."""
        request = session_pb2.BroadcastMessageRequest(
            domain=self._domain,
            workspace=self._workspace,
            id=message_id or new_message_id(),
            client_id=client_id or self._client_id,
            data=data_bytes(data),
        )
        answer = await self._calls.repeatable(
            self._stub.BroadcastMessage, request, caller_can_repeat=message_id is not None
        )
        return Broadcasted(answer.id, position_of(answer.position))

    async def history(self, channel: str, *, since: Position | None = None, limit: int = 100) -> HistoryPage:
        """Read part of a channel's history. Permission: `history`.

        Args:
            channel: Its name.
            since: Only what comes after, and as much of it as `limit` allows; None: the last ones.
            limit: Messages at most: 1 to 1000.
        """
        request = session_pb2.GetHistoryRequest(topic=self._topic(channel), limit=limit)
        if since is not None:
            request.since.epoch, request.since.offset = since.epoch, since.offset
            request.since.SetInParent()
        answer = await self._calls.repeatable(self._stub.GetHistory, request)
        messages = tuple(message_of(message) for message in answer.messages)
        return HistoryPage(messages, position_of(answer.newest), answer.more, _LOSSES.get(answer.failure))

    async def presence(self, channel: str) -> tuple[Member, ...]:
        """Return a channel's members by join time. Permission: `presence`."""
        request = session_pb2.GetPresenceRequest(topic=self._topic(channel))
        answer = await self._calls.repeatable(self._stub.GetPresence, request)
        return tuple(Member(m.client_id, m.connection_type, time_of(m.join_time_ms)) for m in answer.members)

    async def receipt(self, channel: str, offset: int) -> Receipt:
        """Return how far a message has come. Permission: `history`."""
        request = session_pb2.GetReceiptRequest(topic=self._topic(channel), offset=offset)
        answer = await self._calls.repeatable(self._stub.GetReceipt, request)
        return Receipt(position_of(answer.position), answer.written, answer.acknowledged)

    async def disconnect(self, client_id: str, *, reason: str = "", reconnect: bool = False) -> int:
        """Close every connection of a client, and return how many were told. Permission: `admin`.

        Repeated like the others: a client that came back between two attempts is closed again.

        Args:
            client_id: Whose.
            reason: Told to the client.
            reconnect: The client may come back by itself.

        Raises:
            NotFound: It has no live connection (any more, if an earlier attempt's answer was lost).
        """
        request = session_pb2.DisconnectClientRequest(
            domain=self._domain, workspace=self._workspace, client_id=client_id, reason=reason, reconnect=reconnect
        )
        answer = await self._calls.repeatable(self._stub.DisconnectClient, request)
        return answer.connections

    def _topic(self, channel: str) -> str:
        return f"{self._domain}/{self._workspace}/{channel}"


def new_message_id() -> str:
    """Return 128 random bits as 22 characters of `A-Z a-z 0-9 _ -`."""
    return secrets.token_urlsafe(16)
