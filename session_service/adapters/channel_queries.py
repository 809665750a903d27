"""Questions about a channel, the same for edges and back ends: its history, its members, how far a message has come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from session_service.adapters.replay import PAGE_BYTES
from session_service.core.errors import ChannelLimit, InvalidField
from session_service.core.model import Member, Position, RecoveryFailure, StoredMessage
from session_service.core.ports import Cluster, Engine
from session_service.core.recovery import assess
from session_service.core.topic import parse_topic

DEFAULT_HISTORY: Final = 100
MAX_HISTORY: Final = 1000
MAX_LISTED: Final = 40_000
"""Members of the longest names that go into one gRPC message, with room to spare."""


class HistoryPart(NamedTuple):
    """Part of a history, oldest first; `failure`: why something before the first message is missing."""

    messages: Sequence[StoredMessage]
    newest: Position
    more: bool
    failure: RecoveryFailure | None


class ReceiptCount(NamedTuple):
    """How many members a message was written to, and acknowledged by."""

    position: Position
    written: int
    acknowledged: int


class ChannelQueries:
    """Reads, through the engine and the cluster.

    Args:
        engine: Where messages are.
        cluster: Who is present, on whatever service.
    """

    def __init__(self, engine: Engine, cluster: Cluster) -> None:
        self._engine = engine
        self._cluster = cluster

    async def history(self, topic: str, since: Position | None, limit: int) -> HistoryPart:
        """Return what comes after a position, or the last messages.

        Args:
            topic: The channel.
            since: Only what comes after it; None: the last ones.
            limit: Messages at most; 0: the default.

        Raises:
            InvalidField: a name or the limit breaks a rule.
            SessionError: the engine cannot be read.
        """
        parse_topic(topic)
        count = limit or DEFAULT_HISTORY
        if count > MAX_HISTORY:
            raise InvalidField("limit", f"1 to {MAX_HISTORY}")
        if since is None:
            page = await self._engine.last(topic, count, PAGE_BYTES)
            return HistoryPart(page.messages, Position(page.epoch, page.head), page.more, None)
        page = await self._engine.read(topic, since.offset, count, PAGE_BYTES)
        start, failure = assess(since, page)
        if start != since.offset:
            page = await self._engine.read(topic, start, count, PAGE_BYTES)
        return HistoryPart(page.messages, Position(page.epoch, page.head), page.more, failure)

    async def members(self, topic: str) -> list[Member]:
        """Return the members of a channel by join time.

        Raises:
            InvalidField: it is no channel that has members.
            ChannelLimit: it has more than one answer can list.
        """
        name = parse_topic(topic)
        if name.is_broadcast or name.is_inbox:
            raise InvalidField("topic", "broadcasts and inboxes have no members")
        members = await self._cluster.members(topic)
        if len(members) > MAX_LISTED:
            raise ChannelLimit(f"channel has {len(members)} members: at most {MAX_LISTED} can be listed")
        return members

    async def receipt(self, topic: str, offset: int) -> ReceiptCount:
        """Return how far a message has come; of one that is not there: nowhere.

        Raises:
            InvalidField: a name or the offset breaks a rule.
            SessionError: the engine cannot be read.
        """
        parse_topic(topic)
        if offset < 1:
            raise InvalidField("offset", "from 1 on")
        page = await self._engine.read(topic, offset, 1, 1)
        if offset > page.head:
            return ReceiptCount(Position(page.epoch, offset), 0, 0)
        written = await self._cluster.written(topic, offset)
        acknowledged = await self._engine.count_acknowledged(topic, offset)
        return ReceiptCount(Position(page.epoch, offset), max(written, acknowledged), acknowledged)
