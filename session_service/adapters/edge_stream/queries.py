"""The reading commands of the edge stream: from a command to the event that answers it."""

from __future__ import annotations

from tidewire.session.v1 import edge_stream_pb2 as pb

from session_service.adapters import grpc_codec as codec
from session_service.adapters.channel_queries import ChannelQueries


class EdgeQueries:
    """Answers `read_history`, `read_presence` and `read_receipt`; each raises SessionError.

    Args:
        queries: Where the answers come from.
    """

    def __init__(self, queries: ChannelQueries) -> None:
        self._queries = queries

    async def history(self, command: pb.Command) -> pb.Event:
        """Return `history`."""
        wanted = command.read_history
        since = codec.position_of(wanted.since) if wanted.HasField("since") else None
        part = await self._queries.history(wanted.topic, since, wanted.limit)
        return pb.Event(
            history=pb.History(
                topic=wanted.topic,
                messages=codec.messages(part.messages),
                newest=codec.position(part.newest),
                more=part.more,
                failure=codec.failure(part.failure),
            )
        )

    async def presence(self, command: pb.Command) -> pb.Event:
        """Return `presence`."""
        topic = command.read_presence.topic
        return pb.Event(presence=pb.Presence(topic=topic, members=codec.members(await self._queries.members(topic))))

    async def receipt(self, command: pb.Command) -> pb.Event:
        """Return `receipt`."""
        topic = command.read_receipt.topic
        count = await self._queries.receipt(topic, command.read_receipt.offset)
        return pb.Event(
            receipt=pb.Receipt(
                topic=topic,
                position=codec.position(count.position),
                written=count.written,
                acknowledged=count.acknowledged,
            )
        )
