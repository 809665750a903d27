"""What the session service shows of edges, sessions and channels."""

from __future__ import annotations

from typing import Any

from service_runtime.debugging.listings import Wanted, page
from session_service.adapters.debug_listings import session_listings
from session_service.adapters.edge_stream.outbox import EdgeOutbox
from tests.unit.session_service.edge_world import EdgeWorld
from tests.unit.session_service.fakes import EPOCH, TOPIC


class Streams:
    """The streams of edges that are attached."""

    def __init__(self, **streams: EdgeOutbox) -> None:
        self._streams = streams

    def stream_of(self, edge_id: str) -> EdgeOutbox | None:
        return self._streams.get(edge_id)


async def rows(world: EdgeWorld, name: str, **streams: EdgeOutbox) -> list[Any]:
    found, _, _ = await page(session_listings(world.hub, Streams(**streams))[name], Wanted())
    return list(found)


async def test_an_edge_that_is_attached_and_one_that_is_away() -> None:
    async with EdgeWorld() as world:
        here, _ = await world.session("here"), await world.session("there", "bob")
        here.outbox.close()
        first, second = await rows(world, "connections", here=here.outbox)
    assert first.items() >= {"id": "here", "state": "attached", "sessions": 1, "outbox_bytes": 0}.items()
    assert first["age_s"] >= 0
    assert second == {"id": "there", "state": "away", "sessions": 1, "outbox_bytes": 0, "age_s": None}


async def test_sessions_are_shown_with_their_edge() -> None:
    async with EdgeWorld() as world:
        stream = await world.session()
        await stream.join()
        (row,) = await rows(world, "sessions")
    assert row.items() >= {"id": "s-alice", "edge_id": "edge-1", "connection_id": 1, "client_id": "alice"}.items()
    assert row.items() >= {"key_id": "k1", "state": "open"}.items()
    assert row["channel_count"] >= 1


async def test_a_channel_is_shown_with_its_head() -> None:
    async with EdgeWorld() as world:
        stream = await world.session()
        await stream.join()
        await stream.publish()
        found = {row["channel"]: row for row in await rows(world, "channels")}
    assert found[TOPIC] == {"channel": TOPIC, "members": 1, "edges": 1, "epoch": EPOCH, "offset": 1}


async def test_what_has_gone_is_no_row() -> None:
    async with EdgeWorld() as world:
        await world.session()
        listings = session_listings(world.hub, Streams())
        assert listings["connections"].row("gone") is None
        assert listings["sessions"].row("gone/1") is None
        assert listings["sessions"].row("edge-1/99") is None
        assert listings["channels"].row("tests/w1/gone") is None
