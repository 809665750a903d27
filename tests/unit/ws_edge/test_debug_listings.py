"""What the edge shows of its connections and channels."""

from __future__ import annotations

from typing import Any

from service_runtime.debugging.listings import Wanted, page
from tests.unit.ws_edge.fakes import EPOCH, World
from ws_edge.adapters.debug_listings import MAX_CHANNELS_SHOWN, edge_listings


async def rows(world: World, name: str) -> list[Any]:
    found, _, _ = await page(edge_listings(world.gateway, world.clock)[name], Wanted())
    return list(found)


async def test_a_connection_is_shown_from_its_first_moment() -> None:
    world = World()
    world.client("bob")
    (row,) = await rows(world, "connections")
    assert (row["client_id"], row["state"], row["key_id"], row["session_id"]) == ("bob", "awaiting_key", None, None)


async def test_a_client_is_shown_with_its_key_and_channels() -> None:
    world = World()
    client = await world.member("room")
    client.sink.unsent = 7
    (row,) = await rows(world, "connections")
    who = client.connection.who
    assert row.items() >= {"id": who.number, "session_id": who.session_id, "key_id": who.key_id}.items()
    assert row.items() >= {"state": "authenticated", "channels": ["room"], "channel_count": 1}.items()
    assert row["outbox_bytes"] == 7


async def test_of_very_many_channels_the_first_are_shown_and_all_are_counted() -> None:
    world = World()
    client = await world.member("room")
    more = MAX_CHANNELS_SHOWN + 5
    client.connection.channels.update({f"c-{n}": client.connection.channels["room"] for n in range(more)})
    (row,) = await rows(world, "connections")
    assert (len(row["channels"]), row["channel_count"]) == (MAX_CHANNELS_SHOWN, more + 1)


async def test_a_channel_is_shown_with_its_place() -> None:
    world = World()
    await world.member("room")
    found = {row["channel"]: row for row in await rows(world, "channels")}
    assert found["d/w/room"] == {
        "channel": "d/w/room",
        "members": 1,
        "members_ahead": 0,
        "epoch": EPOCH,
        "offset": 5,
        "healing": False,
    }


async def test_what_has_gone_is_no_row() -> None:
    world = World()
    listings = edge_listings(world.gateway, world.clock)
    assert listings["connections"].row(99) is None
    assert listings["channels"].row("d/w/nowhere") is None
