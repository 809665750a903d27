"""What the session service shows on its admin port: edges, the sessions on them, and channels, never what is in messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from service_runtime.debugging.listings import Listing, Row
from session_service.adapters.edge_stream.outbox import EdgeOutbox
from session_service.core.hub import Hub


class Streams(Protocol):
    """Knows the streams of edges."""

    def stream_of(self, edge_id: str) -> EdgeOutbox | None:
        """Return what waits for an edge that is attached."""


def session_listings(hub: Hub, edges: Streams) -> Mapping[str, Listing[Any]]:
    """Return what can be looked at, by the name of its endpoint.

    Args:
        hub: The live state.
        edges: The streams of edges.
    """

    def edge(edge_id: str) -> Row | None:
        found = hub.edges.get(edge_id)
        if found is None:
            return None
        stream = edges.stream_of(edge_id)
        return {
            "id": edge_id,
            "state": "attached" if stream else "away",
            "sessions": len(found.sessions),
            "outbox_bytes": stream.waiting_bytes if stream else 0,
            "age_s": round(stream.age_s(), 3) if stream else None,
        }

    def session(key: str) -> Row | None:
        edge_id, _, number = key.rpartition("/")
        found = hub.edges[edge_id].sessions.get(int(number)) if edge_id in hub.edges else None
        if found is None:
            return None
        facts = found.facts
        return {
            "id": facts.session_id,
            "edge_id": edge_id,
            "connection_id": found.number,
            "client_id": facts.client_id,
            "key_id": facts.key_id,
            "domain": facts.domain,
            "workspace": facts.workspace,
            "state": "stale" if found.stale else "open",
            "channel_count": len(found.topics),
        }

    def channel(topic: str) -> Row | None:
        found = hub.channels.get(topic)
        if found is None:
            return None
        return {
            "channel": topic,
            "members": len(found.clients),
            "edges": len(found.shares),
            "epoch": found.epoch,
            "offset": found.head,
        }

    return {
        "connections": Listing(lambda: hub.edges, edge, str),
        "sessions": Listing(lambda: _session_keys(hub), session, str),
        "channels": Listing(lambda: hub.channels, channel, str),
    }


def _session_keys(hub: Hub) -> Iterator[str]:
    return (f"{edge_id}/{number}" for edge_id, edge in hub.edges.items() for number in edge.sessions)
