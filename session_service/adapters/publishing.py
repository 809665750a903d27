"""Takes messages of edges and back ends: checks what nobody has checked before, then hands them to the engine."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from session_service.core.errors import InvalidField, SessionError
from session_service.core.model import NewMessage, Stored
from session_service.core.payload import check_payload, check_size
from session_service.core.ports import OnStored
from session_service.core.topic import check_id, check_name, parse_topic

CHANNEL_TYPES: Final = frozenset({"chat_message", "channel_message", "task_update", "agent_status", "graph_update"})
DIRECT_TYPE: Final = "direct_message"
BROADCAST_TYPE: Final = "broadcast"


class Appender(Protocol):
    """What is needed of an engine."""

    def append(self, message: NewMessage, on_stored: OnStored) -> None:
        """Store a message; see `core.ports.Engine.append`."""


class Publisher:
    """Publishes to channels, inboxes and the broadcasts of a workspace.

    Args:
        engine: Stores and delivers.
        max_message_bytes: The largest `data`.
    """

    def __init__(self, engine: Appender, max_message_bytes: int) -> None:
        self._engine = engine
        self._max_message_bytes = max_message_bytes

    def publish(self, message: NewMessage, on_stored: OnStored) -> None:
        """Store a message of an edge, which has validated its `data`; `on_stored` is called when it is stored, or is not.

        Raises:
            InvalidField: a name, the type or the id breaks a rule.
            LimitExceeded: it is too large.
        """
        self._check_envelope(message)
        check_size("data", message.data, self._max_message_bytes)
        self._engine.append(message, on_stored)

    async def publish_checked(self, message: NewMessage) -> Stored:
        """Store a message of a back end; its `data` is validated here.

        Raises:
            SessionError: it was not stored, or nobody knows if it was.
        """
        self._check_envelope(message)
        check_payload("data", message.data, self._max_message_bytes)
        stored: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()

        def done(result: Stored | SessionError) -> None:
            if stored.done():
                return
            if isinstance(result, SessionError):
                stored.set_exception(result)
            else:
                stored.set_result(result)

        self._engine.append(message, done)
        return await stored

    @staticmethod
    def _check_envelope(message: NewMessage) -> None:
        topic = parse_topic(message.topic)
        check_name("client_id", message.client_id)
        check_id("id", message.id)
        if message.thread_id:
            check_name("thread_id", message.thread_id)
        allowed = _types_of(is_inbox=topic.is_inbox, is_broadcast=topic.is_broadcast)
        if message.type not in allowed:
            raise InvalidField("type", f"must be {' or '.join(sorted(allowed))} in this channel")


def _types_of(*, is_inbox: bool, is_broadcast: bool) -> frozenset[str]:
    if is_inbox:
        return frozenset({DIRECT_TYPE})
    return frozenset({BROADCAST_TYPE}) if is_broadcast else CHANNEL_TYPES
