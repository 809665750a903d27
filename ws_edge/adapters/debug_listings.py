"""What the edge shows on its admin port: its connections and channels, never what is in messages or keys."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from service_runtime.debugging.listings import Listing, Row
from ws_edge.core.connection import Connection
from ws_edge.core.gateway import Gateway
from ws_edge.core.ports import Clock

MAX_CHANNELS_SHOWN: Final = 100


def edge_listings(gateway: Gateway, clock: Clock) -> Mapping[str, Listing[Any]]:
    """Return what can be looked at, by the name of its endpoint.

    Args:
        gateway: Of this edge.
        clock: For ages.
    """

    def connection(number: int) -> Row | None:
        found = gateway.registry.get(number)
        return None if found is None else _connection(found, clock.monotonic_s())

    def channel(name: str) -> Row | None:
        topic = gateway.topics.get(name)
        if topic is None:
            return None
        return {
            "channel": name,
            "members": len(topic.members),
            "members_ahead": len(topic.ahead),
            "epoch": topic.epoch,
            "offset": topic.offset,
            "healing": topic.healing,
        }

    return {
        "connections": Listing(lambda: (each.number for each in gateway.registry), connection, int),
        "channels": Listing(lambda: (each.name for each in gateway.topics), channel, str),
    }


def _connection(connection: Connection, now_s: float) -> Row:
    who = connection.facts
    return {
        "id": connection.number,
        "session_id": who and who.session_id,
        "client_id": connection.client_id,
        "key_id": who and who.key_id,
        "domain": who and who.domain,
        "workspace": who and who.workspace,
        "state": connection.state.name.lower(),
        "channels": list(islice(connection.channels, MAX_CHANNELS_SHOWN)),
        "channel_count": len(connection.channels),
        "outbox_bytes": connection.outbox.unsent,
        "age_s": round(now_s - connection.opened_s, 3),
    }
