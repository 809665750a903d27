"""The RPCs of `SessionService`: publish, read and disconnect, for back ends."""

from __future__ import annotations

from collections.abc import Callable

from tidewire.session.v1 import session_pb2 as pb
from tidewire.session.v1 import session_pb2_grpc

from session_service.adapters import grpc_codec as codec
from session_service.adapters.channel_queries import ChannelQueries
from session_service.adapters.grpc_caller import Caller, Callers, unary
from session_service.adapters.publishing import BROADCAST_TYPE, DIRECT_TYPE, Publisher
from session_service.core.errors import ClientNotFound, InvalidField
from session_service.core.model import NewMessage, Position
from session_service.core.ports import Cluster, DisconnectOrder
from session_service.core.topic import Topic, broadcast_topic, check_name, parse_topic

DEFAULT_TYPE = "channel_message"
MAX_REASON_CHARACTERS = 120
"""A close frame carries 123 bytes of reason (RFC 6455 section 5.5)."""


class SessionServicer(session_pb2_grpc.SessionServiceServicer):
    """Channels, for back ends.

    Args:
        callers: Lets callers in.
        publisher: Takes messages.
        queries: Answers questions.
        cluster: Finds clients wherever they are.
        new_id: Makes ids of messages that come without.
    """

    def __init__(
        self,
        callers: Callers,
        publisher: Publisher,
        queries: ChannelQueries,
        cluster: Cluster,
        new_id: Callable[[], str],
    ) -> None:
        self.callers = callers
        self._publisher = publisher
        self._queries = queries
        self._cluster = cluster
        self._new_id = new_id

    @unary
    async def PublishMessage(  # noqa: N802
        self, request: pb.PublishMessageRequest, caller: Caller
    ) -> pb.PublishMessageResponse:
        """Store a message and deliver it."""
        topic = parse_topic(request.topic)
        if topic.is_broadcast:
            raise InvalidField("topic", "broadcasts go through BroadcastMessage")
        if topic.is_inbox:
            await caller.require("direct", topic._replace(channel=topic.addressee))
        else:
            await caller.require("publish", topic)
        message = NewMessage(
            request.topic,
            request.type or (DIRECT_TYPE if topic.is_inbox else DEFAULT_TYPE),
            request.id or self._new_id(),
            request.client_id,
            request.data,
            request.thread_id,
        )
        stored = await self._publisher.publish_checked(message)
        return pb.PublishMessageResponse(
            id=message.id,
            position=codec.position(Position(stored.epoch, stored.offset)),
            time_ms=stored.time_ms,
            duplicate=stored.duplicate,
        )

    @unary
    async def BroadcastMessage(  # noqa: N802
        self, request: pb.BroadcastMessageRequest, caller: Caller
    ) -> pb.BroadcastMessageResponse:
        """Publish to every connection of a workspace."""
        topic = _workspace(request.domain, request.workspace)
        await caller.require("broadcast", topic)
        message = NewMessage(
            broadcast_topic(request.domain, request.workspace),
            BROADCAST_TYPE,
            request.id or self._new_id(),
            request.client_id,
            request.data,
        )
        stored = await self._publisher.publish_checked(message)
        return pb.BroadcastMessageResponse(
            id=message.id, position=codec.position(Position(stored.epoch, stored.offset))
        )

    @unary
    async def GetHistory(self, request: pb.GetHistoryRequest, caller: Caller) -> pb.GetHistoryResponse:  # noqa: N802
        """Read part of a channel's history."""
        await caller.require("history", parse_topic(request.topic))
        since = codec.position_of(request.since) if request.HasField("since") else None
        part = await self._queries.history(request.topic, since, request.limit)
        return pb.GetHistoryResponse(
            messages=codec.messages(part.messages),
            newest=codec.position(part.newest),
            more=part.more,
            failure=codec.failure(part.failure),
        )

    @unary
    async def GetPresence(self, request: pb.GetPresenceRequest, caller: Caller) -> pb.GetPresenceResponse:  # noqa: N802
        """Read a channel's members."""
        await caller.require("presence", parse_topic(request.topic))
        return pb.GetPresenceResponse(members=codec.members(await self._queries.members(request.topic)))

    @unary
    async def GetReceipt(self, request: pb.GetReceiptRequest, caller: Caller) -> pb.GetReceiptResponse:  # noqa: N802
        """Read how far a message has come."""
        await caller.require("history", parse_topic(request.topic))
        count = await self._queries.receipt(request.topic, request.offset)
        return pb.GetReceiptResponse(
            position=codec.position(count.position), written=count.written, acknowledged=count.acknowledged
        )

    @unary
    async def DisconnectClient(  # noqa: N802
        self, request: pb.DisconnectClientRequest, caller: Caller
    ) -> pb.DisconnectClientResponse:
        """Close every connection of a client in a workspace."""
        topic = _workspace(request.domain, request.workspace)
        check_name("client_id", request.client_id)
        if len(request.reason) > MAX_REASON_CHARACTERS:
            raise InvalidField("reason", f"at most {MAX_REASON_CHARACTERS} characters")
        await caller.require("admin", topic)
        order = DisconnectOrder(request.domain, request.workspace, request.client_id, request.reason, request.reconnect)
        connections = await self._cluster.disconnect(order)
        if not connections:
            raise ClientNotFound(request.client_id)
        return pb.DisconnectClientResponse(connections=connections)


def _workspace(domain: str, workspace: str) -> Topic:
    check_name("domain", domain)
    check_name("workspace", workspace)
    return Topic(domain, workspace, "*")
