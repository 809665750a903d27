"""Delivery in order, each offset once, gaps healed before more is delivered."""

from __future__ import annotations

from tests.unit.ws_edge.fakes import EPOCH, Client, World
from ws_edge.core.ports import Member, Position, StoredMessage
from ws_edge.core.topics import Topic


def stored(offset: int, epoch: str = EPOCH) -> StoredMessage:
    return StoredMessage("chat_message", f"m{offset}", "bob", epoch, offset, 1_700_000_000_000, b"{}")


async def test_each_offset_is_delivered_once_to_every_member() -> None:
    world = World()
    clients = [await world.member(client_id=name) for name in ("alice", "bob")]
    for offset in (6, 6, 7, 5):
        world.gateway.fanout.deliver("d/w/room", stored(offset))
    for client in clients:
        assert [frame["offset"] for frame in client.frames()] == [6, 7]
    stats = world.gateway.stats
    assert (stats.deliveries, stats.messages_fanned_out) == (4, 2)
    assert stats.frames_out == stats.frames_to_one + 4
    assert [number for number, count in enumerate(stats.fan_out_sizes) if count] == [2]
    world.gateway.fanout.deliver("d/w/nobody", stored(1))


async def test_a_gap_is_healed_before_more_is_delivered() -> None:
    world = World()
    client = await world.member()
    number = client.connection.number
    for offset in (8, 9):
        world.gateway.fanout.deliver("d/w/room", stored(offset))
    assert client.frames() == []
    assert [c for c in world.link.commands if c[0] == "resubscribe"] == [
        ("resubscribe", "d/w/room", Position(EPOCH, 5), [number], [])
    ]
    world.gateway.fanout.resubscribed("d/w/room", Position(EPOCH, 5), None)
    for offset in (6, 7, 8, 9):
        world.gateway.fanout.deliver("d/w/room", stored(offset))
    assert [frame["offset"] for frame in client.frames()] == [6, 7, 8, 9]
    assert (world.gateway.stats.gaps_found, world.gateway.stats.gaps_healed) == (1, 1)
    world.gateway.fanout.resubscribed("d/w/room", Position(EPOCH, 9), None)
    assert world.gateway.stats.gaps_healed == 1


async def test_what_cannot_be_healed_is_told() -> None:
    world = World()
    client = await world.member()
    world.gateway.fanout.deliver("d/w/room", stored(1, "e2"))
    assert world.link.names()[-1] == "resubscribe"
    world.gateway.fanout.resubscribed("d/w/room", Position("e2", 1), "epoch_changed")
    told = client.one()
    assert told["type"] == "subscription_success"
    assert (told["data"]["recovered"], told["data"]["reason"]) == (False, "epoch_changed")
    assert (world.gateway.stats.recoveries_failed, world.gateway.stats.gaps_healed) == (1, 0)
    world.gateway.fanout.deliver("d/w/room", stored(2, "e2"))
    assert client.one()["offset"] == 2
    world.gateway.fanout.resubscribed("d/w/nobody", Position("e2", 1), "epoch_changed")


async def test_presence_changes_reach_those_that_asked() -> None:
    world = World()
    plain = await world.member()
    curious = await world.authenticated("carol")
    await curious.send("join_channel", {"channel": "room", "presence": True})
    curious.frames()
    who = Member("dave", "tasks", 1_700_000_000_000)
    for joined, event in ((True, "join"), (False, "leave")):
        world.gateway.fanout.presence_changed("d/w/room", who, joined=joined, now_ms=1_700_000_000_000)
        frame = curious.one()
        assert frame["type"] == "presence_update"
        assert frame["data"]["event"] == event
        assert frame["data"]["member"]["client_id"] == "dave"
    assert plain.frames() == []
    world.gateway.fanout.presence_changed("d/w/nobody", who, joined=True, now_ms=0)
    itself = Member(curious.connection.client_id, "chat", 0)
    world.gateway.fanout.presence_changed("d/w/room", itself, joined=True, now_ms=0)
    assert curious.frames() == []


async def test_removing_a_stranger_changes_nothing() -> None:
    world = World()
    alice, bob = await world.member(), await world.authenticated("bob")
    world.gateway.topics.remove("d/w/room", bob.connection)
    world.gateway.topics.remove("d/w/nowhere", bob.connection)
    assert world.gateway.topics.get("d/w/room") is not None
    assert alice.connection in world.gateway.topics.get("d/w/room").members  # type: ignore[union-attr]


async def test_a_late_resubscription_does_not_deliver_twice() -> None:
    """One that was tried again begins where the edge stood when it asked; since then it has gone on."""
    world = World()
    client = await world.member()
    for offset in (6, 7):
        world.gateway.fanout.deliver("d/w/room", stored(offset))
    world.gateway.fanout.resubscribed("d/w/room", Position(EPOCH, 5), None)
    for offset in (6, 7, 8):
        world.gateway.fanout.deliver("d/w/room", stored(offset))
    assert [frame["offset"] for frame in client.frames()] == [6, 7, 8]


async def test_who_joins_while_something_is_missing_is_given_nothing_twice() -> None:
    world = World()
    early = await world.member()
    world.gateway.fanout.deliver("d/w/room", stored(8))  # 6 and 7 are missing
    late = await joined_at(world, Position(EPOCH, 7))
    world.gateway.fanout.resubscribed("d/w/room", Position(EPOCH, 5), None)
    for offset in (6, 7, 8, 9):
        world.gateway.fanout.deliver("d/w/room", stored(offset))
    assert [frame["offset"] for frame in early.frames()] == [6, 7, 8, 9]
    assert [frame["offset"] for frame in late.frames()] == [8, 9]
    assert world.gateway.stats.deliveries == 6
    assert room_of(world).ahead == {}


async def test_who_joins_while_something_is_missing_and_leaves_is_forgotten() -> None:
    world = World()
    await world.member()
    late = await joined_at(world, Position(EPOCH, 7))
    world.gateway.topics.remove("d/w/room", late.connection)
    assert room_of(world).ahead == {}


async def test_who_joined_behind_a_loss_is_not_told_of_it() -> None:
    world = World()
    early = await world.member()
    world.gateway.fanout.deliver("d/w/room", stored(3, "e2"))
    late = await joined_at(world, Position("e2", 2))
    world.gateway.fanout.resubscribed("d/w/room", Position("e2", 2), "epoch_changed")
    assert early.one()["data"]["reason"] == "epoch_changed"
    world.gateway.fanout.deliver("d/w/room", stored(3, "e2"))
    assert [client.one()["offset"] for client in (early, late)] == [3, 3]


async def test_who_joined_in_an_epoch_that_is_over_goes_on_with_the_others() -> None:
    world = World()
    early = await world.member()
    late = await joined_at(world, Position("e0", 9))
    world.gateway.fanout.deliver("d/w/room", stored(6))
    assert [client.one()["offset"] for client in (early, late)] == [6, 6]
    assert room_of(world).ahead == {}


async def test_messages_of_one_tick_are_one_run_that_all_members_share() -> None:
    world = World()
    clients = [await world.member(client_id=name) for name in ("alice", "bob")]
    clients[0].connection.send(b'{"type": "before"}')
    for offset in (6, 7):
        world.gateway.fanout.deliver("d/w/room", stored(offset))
    clients[0].connection.send(b'{"type": "behind"}')
    world.gateway.fanout.deliver("d/w/room", stored(8))
    world.tick()
    world.gateway.fanout.deliver("d/w/room", stored(9))
    alice, bob = (client.frames() for client in clients)
    assert [frame.get("offset", frame["type"]) for frame in alice] == ["before", 6, 7, 8, "behind", 9]
    assert [frame["offset"] for frame in bob] == [6, 7, 8, 9]
    assert world.gateway.stats.deliveries == 8
    assert world.gateway.stats.messages_fanned_out == 4


async def test_who_joins_or_leaves_within_a_tick_gets_just_its_part() -> None:
    world = World()
    early = await world.member()
    leaver = await world.member(client_id="leaver")
    world.gateway.fanout.deliver("d/w/room", stored(6))
    late = await world.authenticated("late")
    early_frames = early.sink.frames()
    world.gateway.fanout.deliver("d/w/room", stored(7))
    world.gateway.topics.add("d/w/room", "room", Position(EPOCH, 7), late.connection, presence=False)
    world.gateway.fanout.deliver("d/w/room", stored(8))
    world.gateway.topics.remove("d/w/room", leaver.connection)
    leaver.connection.send(b'{"type": "left"}')
    world.gateway.fanout.deliver("d/w/room", stored(9))
    assert [frame["offset"] for frame in early_frames + early.frames()] == [6, 7, 8, 9]
    assert [frame["offset"] for frame in late.frames()] == [8, 9]
    assert [frame.get("offset", frame["type"]) for frame in leaver.frames()] == [6, 7, 8, "left"]


async def test_a_loss_is_told_before_what_comes_behind_it() -> None:
    world = World()
    client = await world.member()
    world.gateway.fanout.deliver("d/w/room", stored(6))
    world.gateway.fanout.deliver("d/w/room", stored(1, "e2"))
    world.gateway.fanout.resubscribed("d/w/room", Position("e2", 0), "epoch_changed")
    world.gateway.fanout.deliver("d/w/room", stored(1, "e2"))
    first, told, behind = client.frames()
    assert (first["offset"], told["type"], behind["epoch"]) == (6, "subscription_success", "e2")


async def joined_at(world: World, position: Position) -> Client:
    """Return another member of the room, which joined at this position."""
    client = await world.authenticated("late")
    world.gateway.topics.add("d/w/room", "room", position, client.connection, presence=False)
    client.frames()
    return client


def room_of(world: World) -> Topic:
    """Return the room's topic."""
    topic = world.gateway.topics.get("d/w/room")
    assert topic is not None
    return topic
