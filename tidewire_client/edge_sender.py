"""Sends one message through an edge, over as many connections as it takes until it is confirmed.

Every attempt carries the same id and the same `client_id`, so the message is stored once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tidewire_client.channels import new_message_id
from tidewire_client.edge_connection import EdgeConnection, EdgeLogin
from tidewire_client.edge_frames import position_in
from tidewire_client.errors import ConnectionLost, ConnectionRefused, ServerFault, ServiceTimeout
from tidewire_client.message import Data, Position, data_bytes
from tidewire_client.retry import backoff_s, repeat


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A message is stored: its channel, its id, and where it stands."""

    channel: str
    id: str
    position: Position


async def send_message(
    login: EdgeLogin,
    channel: str,
    data: Data,
    *,
    message_type: str = "chat_message",
    message_id: str | None = None,
    deadline_s: float = 10.0,
) -> Confirmed:
    """Send a message, and return its confirmation. The key needs `join` and `publish` on the channel.

    Args:
        login: Where, and as whom.
        channel: Its name.
        data: A JSON object; bytes are sent as they are.
        message_type: The frame type.
        message_id: Idempotency id: 1 to 64 characters; None: one is made, and used for every attempt.
        deadline_s: For all attempts together, in seconds.

    Raises:
        TidewireError: It is not confirmed; `safe_to_repeat` says if sending it again may store it twice.
    """
    sending = _Sending(login, channel, data_bytes(data), message_type, message_id or new_message_id())
    try:
        return await repeat(sending.attempt, deadline_s, _wait_if_lost)
    except (ConnectionLost, ConnectionRefused, ServiceTimeout) as problem:
        problem.safe_to_repeat = message_id is not None or not sending.under_way
        raise


class _Sending:
    """One message, and whether it may have reached an edge."""

    def __init__(self, login: EdgeLogin, channel: str, body: bytes, message_type: str, message_id: str) -> None:
        self._login = login
        self._channel = channel
        self._body = body
        self._type = message_type
        self._id = message_id
        self.under_way = False

    async def attempt(self, left_s: float) -> Confirmed:
        try:
            async with asyncio.timeout(left_s):
                connection = await EdgeConnection.open(self._login)
                try:
                    return await self._send(connection)
                finally:
                    await connection.close()
        except TimeoutError:
            raise ServiceTimeout("the edge did not confirm the message in time") from None

    async def _send(self, connection: EdgeConnection) -> Confirmed:
        await connection.ask("join_channel", {"channel": self._channel}, {"subscription_success"})
        self.under_way = True
        answer = await connection.publish(self._type, self._id, self._channel, self._body)
        place = position_in(answer.data)
        if place is None:
            raise ServerFault("the edge confirmed a message without saying where it stands")
        return Confirmed(self._channel, self._id, place)


def _wait_if_lost(exc: Exception, count: int) -> float | None:
    if not isinstance(exc, ConnectionLost):
        return None
    return max(exc.retry_after_s or 0.0, backoff_s(count))
