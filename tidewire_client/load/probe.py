"""One client that tries what the load will do, so that what is wrong is said in words before there is any load."""

from __future__ import annotations

import json
import ssl

from tidewire_client.edge_connection import EdgeConnection, EdgeLogin, new_frame_id
from tidewire_client.load.scenarios.base import Limits


async def probe(login: EdgeLogin, channel: str, tls: ssl.SSLContext | None, *, publishes: bool) -> Limits:
    """Connect, and, for scenarios that send, join a channel and publish one message.

    Args:
        login: Where and as whom.
        channel: A channel of the load.
        tls: What to trust; None: what the system does.
        publishes: The scenario sends messages.

    Returns:
        What the edge lets one connection do.

    Raises:
        TidewireError: The edge cannot be reached, or does not allow it.
    """
    connection = await EdgeConnection.open(login, tls=tls)
    try:
        limits = Limits.of(connection.welcome.data)
        if publishes:
            await connection.ask("join_channel", {"channel": channel}, {"subscription_success"})
            data = json.dumps({"content": "a load test begins"}).encode()
            await connection.publish("chat_message", new_frame_id(), channel, data)
    finally:
        await connection.close()
    return limits
