"""What each frame of an authenticated client does."""

from __future__ import annotations

import json

import pytest

from tests.unit.ws_edge.fakes import EPOCH, World
from ws_edge.core.limits import ConnectionLimits
from ws_edge.core.ports import (
    Failed,
    FailureKind,
    HistoryPage,
    Joined,
    Left,
    Member,
    Position,
    PresenceList,
    Published,
    ServiceAway,
    StoredMessage,
)


def stored(offset: int, kind: str = "chat_message") -> StoredMessage:
    return StoredMessage(kind, f"m{offset}", "bob", EPOCH, offset, 1_700_000_000_123, b'{"content": "hi" }')


async def test_join_is_confirmed_then_subscribed_then_replayed() -> None:
    world = World()
    world.link.answers["join"] = Joined(Position(EPOCH, 5), True, None, [stored(4), stored(5)])
    client = await world.authenticated()
    await client.send("join_channel", {"channel": "room", "recover": {"epoch": EPOCH, "offset": 3}}, id="j")
    delivered, success, *missed = client.frames()
    assert (delivered["type"], delivered["id"], delivered["channel"]) == ("message_delivered", "j", "room")
    assert delivered["data"]["original_type"] == "join_channel"
    assert success["data"] == {
        "channel": "room",
        "status": "success",
        "message": "Successfully joined channel",
        "epoch": EPOCH,
        "offset": 5,
        "recovered": True,
    }
    assert [message["offset"] for message in missed] == [4, 5]
    world.gateway.fanout.deliver("d/w/room", stored(6))
    assert client.one()["offset"] == 6


@pytest.mark.parametrize(
    ("data", "how"),
    [
        ({}, {"since": None, "last_acked": False, "last": 0, "presence": False}),
        ({"recover": "last_acked"}, {"since": None, "last_acked": True, "last": 0, "presence": False}),
        ({"history": 9, "presence": True}, {"since": None, "last_acked": False, "last": 9, "presence": True}),
        (
            {"recover": {"epoch": "e", "offset": "7"}},
            {"since": Position("e", 7), "last_acked": False, "last": 0, "presence": False},
        ),
    ],
)
async def test_join_asks_for_the_past_that_is_wanted(data: dict[str, object], how: dict[str, object]) -> None:
    world = World()
    client = await world.authenticated()
    await client.send("join_channel", {"channel": "room"} | data)
    assert world.link.commands[-1] == ("join", 1, "d/w/room", how)


async def test_join_refusals() -> None:
    world = World(limits=ConnectionLimits(max_channels=1))
    client = await world.authenticated()
    for name in ("", "has space", "@alice", "*", "x" * 129, "ü"):
        await client.send("join_channel", {"channel": name}, id="j")
        assert client.assert_error("channel_error", 400)["id"] == "j"
    await client.send("join_channel", {"channel": "room"})
    client.frames()
    await client.send("join_channel", {"channel": "room"})
    client.assert_error("channel_error", 409)
    await client.send("join_channel", {"channel": "second"})
    assert "at most 1" in client.assert_error("channel_error", 409)["data"]["message"]


@pytest.mark.parametrize(
    "data", [None, [], "x", {}, {"channel": 7}, {"channel": "r", "recover": "x"}, {"channel": "r", "history": 0}]
)
async def test_a_bad_field_is_named_and_the_connection_stays_open(data: object) -> None:
    client = await World().authenticated()
    await client.send("join_channel", data)
    message = client.assert_error("invalid_format", 400)["data"]["message"]
    assert "join_channel" in message
    assert "data" in message


async def test_a_denied_action_names_the_missing_permission() -> None:
    for known in (True, False):
        world = World()
        world.keys.known = known
        world.keys.denied.add(("join", "room"))
        client = await world.authenticated()
        await client.send("join_channel", {"channel": "room"}, id="j")
        error = client.assert_error("permission_denied", 403)
        assert error["data"]["message"] == "Missing permission: join:room"
        assert error["id"] == "j"


@pytest.mark.parametrize(("timed_out", "error_type", "code"), [(True, "timeout", 504), (False, "unavailable", 503)])
async def test_a_permission_that_cannot_be_asked_for(timed_out: bool, error_type: str, code: int) -> None:
    world = World()
    client = await world.authenticated()
    world.keys.known, world.keys.away = False, ServiceAway("auth", timed_out=timed_out)
    await client.send("join_channel", {"channel": "room"})
    client.assert_error(error_type, code)


async def test_a_peer_that_goes_while_its_permission_is_asked_for() -> None:
    world = World()
    client = await world.authenticated()
    world.keys.known = False
    world.keys.before_answer = lambda: world.gateway.lost(client.connection)
    await client.send("join_channel", {"channel": "room"})
    assert "join" not in world.link.names()


async def test_a_join_that_fails_leaves_no_membership() -> None:
    world = World()
    world.link.answers["join"] = Failed(FailureKind.TIMEOUT, "no answer", False)
    client = await world.authenticated()
    await client.send("join_channel", {"channel": "room"})
    assert client.assert_error("timeout", 504)["channel"] == "room"
    await client.send("leave_channel", {"channel": "room"})
    client.assert_error("channel_error", 404)


async def test_leave_is_confirmed_and_nothing_of_the_channel_follows() -> None:
    world = World()
    client = await world.member()
    await client.send("leave_channel", {"channel": "room"}, id="l")
    delivered, gone = client.frames()
    assert (delivered["type"], gone["type"]) == ("message_delivered", "unsubscription_success")
    assert gone["data"] == {"channel": "room", "status": "success", "message": "Successfully left channel"}
    assert gone["id"] == "l"
    world.gateway.fanout.deliver("d/w/room", stored(6))
    assert client.frames() == []


async def test_leave_that_fails_keeps_the_membership() -> None:
    world = World()
    client = await world.member()
    world.link.answers["leave"] = Failed(FailureKind.UNAVAILABLE, "away", True)
    await client.send("leave_channel", {"channel": "room"})
    client.assert_error("unavailable", 503)
    world.gateway.fanout.deliver("d/w/room", stored(6))
    assert client.types() == ["chat_message"]


async def test_leave_and_join_again_while_answers_are_under_way() -> None:
    world = World()
    client = await world.authenticated()
    world.link.silent = True
    await client.send("join_channel", {"channel": "room"})
    await client.send("leave_channel", {"channel": "room"})
    await client.send("leave_channel", {"channel": "room"})
    client.assert_error("channel_error", 404)
    joined, left = world.link.waiting
    joined(world.link.answers["join"])
    left(Left())
    assert client.types() == [
        "message_delivered",
        "subscription_success",
        "message_delivered",
        "unsubscription_success",
    ]
    assert client.connection.channels == {}


@pytest.mark.parametrize("kind", ["chat_message", "channel_message", "task_update", "agent_status", "graph_update"])
async def test_a_message_is_published_byte_for_byte_and_confirmed(kind: str) -> None:
    world = World()
    client = await world.member()
    text = b'{"type":"%s","channel":"room","id":"m1","data":{ "content" : "h\\u00e9" ,"n":1e3}}' % kind.encode()
    await client.send_text(text)
    assert world.link.commands[-1] == (
        "publish",
        1,
        "d/w/room",
        kind,
        "m1",
        b'{ "content" : "h\\u00e9" ,"n":1e3}',
        "",
    )
    delivered = client.one()
    assert delivered["type"] == "message_delivered"
    assert delivered["data"]["status"] == "success"
    assert (delivered["id"], delivered["channel"], delivered["epoch"], delivered["offset"]) == ("m1", "room", EPOCH, 6)
    assert delivered["data"]["offset"] == 6


async def test_a_message_without_an_id_gets_one() -> None:
    world = World()
    client = await world.member()
    await client.send("task_update", {}, channel="room")
    assert client.one()["id"].startswith("id-")


@pytest.mark.parametrize(
    ("data", "fields", "error_type", "code"),
    [
        ({"content": "x"}, {}, "channel_error", 400),
        ({"content": "x"}, {"channel": "not joined"}, "channel_error", 400),
        ({"content": "x"}, {"channel": "elsewhere"}, "channel_error", 404),
        ({"text": "x"}, {"channel": "room"}, "message_error", 400),
        ({"content": "x", "thread_id": "no/id"}, {"channel": "room"}, "message_error", 400),
        ({"content": "x", "thread_id": 7}, {"channel": "room"}, "invalid_format", 400),
        (None, {"channel": "room"}, "invalid_format", 400),
        ([1], {"channel": "room"}, "invalid_format", 400),
        ({"content": "x" * 61_440}, {"channel": "room"}, "message_error", 413),
    ],
)
async def test_messages_that_are_refused(data: object, fields: dict[str, str], error_type: str, code: int) -> None:
    client = await World().member()
    await client.send("chat_message", data, id="m", **fields)
    assert client.assert_error(error_type, code)["id"] == "m"


@pytest.mark.parametrize(
    ("kind", "error_type", "code"),
    [
        (FailureKind.TIMEOUT, "timeout", 504),
        (FailureKind.UNAVAILABLE, "unavailable", 503),
        (FailureKind.LIMIT, "unavailable", 503),
        (FailureKind.INTERNAL, "unavailable", 503),
        (FailureKind.INVALID, "message_error", 400),
    ],
)
@pytest.mark.parametrize(("frame_id", "known", "safe"), [("m", False, True), (None, False, False), (None, True, True)])
async def test_a_publish_that_fails_says_if_it_is_safe_to_repeat(
    kind: FailureKind, error_type: str, code: int, frame_id: str | None, known: bool, safe: bool
) -> None:
    world = World()
    client = await world.member()
    world.link.answers["publish"] = Failed(kind, "it failed", known)
    fields = {} if frame_id is None else {"id": frame_id}
    await client.send("task_update", {}, channel="room", **fields)
    error = client.assert_error(error_type, code)
    assert error["data"]["details"] == {"safe_to_repeat": safe}
    assert ("retry_after_ms" in error["data"]) == (kind is not FailureKind.INVALID)


async def test_a_confirmation_for_a_peer_that_is_gone_is_dropped() -> None:
    world = World()
    client = await world.member()
    world.link.silent = True
    await client.send("task_update", {}, channel="room")
    world.gateway.lost(client.connection)
    world.link.waiting[0](Published("m", Position(EPOCH, 6)))
    assert client.frames() == []


async def test_an_answer_of_another_kind_is_a_defect_not_a_guess() -> None:
    world = World()
    client = await world.member()
    world.link.answers["publish"] = Left()
    await client.send("task_update", {}, channel="room")
    client.assert_error("server_error", 500, then=1011)
    assert len(world.defects) == 1


async def test_direct_messages_and_broadcasts_are_published_to_standing_channels() -> None:
    world = World()
    client = await world.authenticated()
    await client.send("direct_message", {"to": "bob", "x": 1}, id="d")
    assert world.link.commands[-1][2:5] == ("d/w/@bob", "direct_message", "d")
    assert client.one()["channel"] == "@bob"
    await client.send("broadcast", {"x": 1}, id="b")
    assert world.link.commands[-1][2:5] == ("d/w/*", "broadcast", "b")
    client.frames()
    await client.send("direct_message", {"to": "no body"})
    client.assert_error("message_error", 400)
    await client.send("broadcast", [])
    client.assert_error("invalid_format", 400)
    world.keys.denied |= {("direct", "bob"), ("broadcast", "*")}
    await client.send("direct_message", {"to": "bob"})
    client.assert_error("permission_denied", 403)
    await client.send("broadcast", {})
    client.assert_error("permission_denied", 403)


async def test_acks_are_noted_for_memberships_and_standing_channels() -> None:
    world = World()
    client = await world.member()
    for channel in ("room", "@alice", "*"):
        await client.send("ack", {"channel": channel, "epoch": EPOCH, "offset": 3})
        assert world.link.commands[-1] == ("ack", 1, f"d/w/{channel}", Position(EPOCH, 3))
    assert client.frames() == []
    await client.send("ack", {"channel": "@bob", "epoch": EPOCH, "offset": 3})
    client.assert_error("channel_error", 404)
    await client.send("ack", {"channel": "room", "epoch": EPOCH, "offset": -1})
    client.assert_error("invalid_format", 400)


async def test_history_shows_messages_as_they_were_delivered() -> None:
    world = World()
    client = await world.authenticated()
    world.link.answers["history"] = HistoryPage([stored(1)], Position(EPOCH, 9), True, "history_expired")
    await client.send("history", {"channel": "room", "since": {"offset": 0}, "limit": 1}, id="h")
    assert world.link.commands[-1] == ("history", 1, "d/w/room", {"since": ("", 0), "limit": 1})
    frame = client.one()
    assert frame["id"] == "h"
    assert frame["data"] == {
        "channel": "room",
        "messages": [
            {
                "type": "chat_message",
                "data": {"content": "hi"},
                "id": "m1",
                "channel": "room",
                "epoch": EPOCH,
                "offset": 1,
                "timestamp": "2023-11-14T22:13:20.123Z",
                "client_id": "bob",
            }
        ],
        "epoch": EPOCH,
        "offset": 9,
        "more": True,
        "recovered": False,
        "reason": "history_expired",
    }
    world.link.answers["history"] = HistoryPage([], Position(EPOCH, 0), False, None)
    await client.send("history", {"channel": "@alice"})
    assert world.link.commands[-1] == ("history", 1, "d/w/@alice", {"since": None, "limit": 100})
    assert client.one()["data"]["messages"] == []
    for channel in ("@bob", "no channel"):
        await client.send("history", {"channel": channel})
        client.assert_error("channel_error", 400)


async def test_presence_and_receipts() -> None:
    world = World()
    client = await world.authenticated()
    world.link.answers["presence"] = PresenceList([Member("bob", "chat", 1_700_000_000_000)])
    await client.send("presence", {"channel": "room"}, id="p")
    frame = client.one()
    assert (frame["type"], frame["id"]) == ("presence", "p")
    member = {"client_id": "bob", "connection_type": "chat", "joined_at": "2023-11-14T22:13:20.000Z"}
    assert frame["data"] == {"channel": "room", "members": [member]}
    await client.send("receipt", {"channel": "room", "offset": 5}, id="r")
    assert client.one()["data"] == {"channel": "room", "epoch": EPOCH, "offset": 5, "written": 2, "acknowledged": 1}
    await client.send("receipt", {"channel": "@bob", "offset": 5})
    assert client.one()["type"] == "receipt"
    await client.send("receipt", {"channel": "no channel", "offset": 5})
    client.assert_error("channel_error", 400)
    world.link.answers["presence"] = Failed(FailureKind.UNAVAILABLE, "away", True)
    await client.send("presence", {"channel": "room"})
    client.assert_error("unavailable", 503)


@pytest.mark.parametrize("data", [{"a": [1, None]}, None, [1], 5, "x"])
async def test_ping_returns_the_same_data(data: object) -> None:
    client = await World().authenticated()
    await client.send("ping", data, id="p")
    frame = client.one()
    assert (frame["type"], frame["id"], frame["client_id"]) == ("pong", "p", "alice")
    assert frame["data"] == ({} if data is None else data)


async def test_unknown_types_are_refused_or_echoed() -> None:
    world = World()
    client = await world.authenticated()
    await client.send("dance", {"x": 1}, id="u")
    assert "dance" in client.assert_error("unknown_type", 400)["data"]["message"]
    debug = await world.authenticated("bob", debug=True)
    await debug.send("dance", {"x": 1}, id="u", client_id="liar", timestamp="then")
    echo, delivered = debug.frames()
    assert echo["type"] == "dance"
    assert echo["data"] == {"x": 1}
    assert (echo["id"], echo["client_id"]) == ("u", "bob")
    assert echo["timestamp"].endswith("Z")
    assert (delivered["type"], delivered["data"]["original_type"]) == ("message_delivered", "dance")
    await debug.send("chat_message", {"content": "x"})
    assert debug.types() == ["chat_message", "message_delivered"]
    await debug.send("dance")
    assert json.dumps(debug.frames()[0]["data"]) == "{}"
