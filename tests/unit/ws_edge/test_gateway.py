"""The life of a connection: accept, authenticate, limits, keys that change, and the end."""

from __future__ import annotations

import pytest

from tests.unit.ws_edge.fakes import EPOCH, World
from ws_edge.core.close_codes import RECONNECT, CloseCode
from ws_edge.core.connection import TRANSITIONS, Connection, State
from ws_edge.core.errors import ErrorType, FrameError
from ws_edge.core.limits import ConnectionLimits
from ws_edge.core.ports import (
    Failed,
    FailureKind,
    HistoryPage,
    KeyLimits,
    KeyVerdict,
    Member,
    Opened,
    Position,
    PresenceList,
    ServiceAway,
    StoredMessage,
)


def stored(offset: int, topic_type: str = "chat_message") -> StoredMessage:
    return StoredMessage(topic_type, f"m{offset}", "bob", EPOCH, offset, 1_700_000_000_123, b'{"content":"hi"}')


async def test_a_connection_is_greeted_and_authenticated() -> None:
    world = World()
    client = world.client()
    greeting = client.one()
    assert greeting["type"] == "connection_established"
    assert greeting["data"] == {"message": "Connection established, waiting for authentication"}
    await client.connect()
    success, delivered = client.frames()
    assert success["type"] == "connection_success"
    assert success["data"]["message"] == "Connected"
    assert success["data"]["client_id"] == "alice"
    assert success["data"]["heartbeat_ms"] == 25_000
    assert success["id"] == delivered["id"] == "c1"
    assert delivered["data"] == {
        "message": "Authentication message received and processed",
        "original_type": "connect",
        "status": "success",
    }
    assert client.connection.state is State.AUTHENTICATED


@pytest.mark.parametrize(
    ("code", "error_type"),
    [
        ("NOT_FOUND", "invalid_key"),
        ("EXPIRED", "token_expired"),
        ("REVOKED", "key_revoked"),
        ("DISABLED", "key_disabled"),
        ("SOMETHING_NEW", "invalid_key"),
    ],
)
async def test_a_denied_key_closes_with_4000(code: str, error_type: str) -> None:
    world = World()
    world.keys.verdicts["bad"] = KeyVerdict(code)
    client = world.client()
    await client.connect("bad")
    client.assert_error(error_type, 403, then=4000)
    assert len(world.gateway.registry) == 0


@pytest.mark.parametrize(("missing", "shown"), [("", "domain or workspace"), ("domain d", "domain d")])
async def test_a_key_of_another_workspace_may_try_again(missing: str, shown: str) -> None:
    world = World()
    world.keys.verdicts["other"] = KeyVerdict("FORBIDDEN", "k1", missing=missing)
    client = world.client()
    await client.connect("other")
    assert shown in client.assert_error("permission_denied", 403)["data"]["message"]
    await client.connect()
    assert client.types() == ["connection_success", "message_delivered"]


async def test_a_key_that_is_used_too_often_may_try_again_when_told() -> None:
    world = World()
    world.keys.verdicts["often"] = KeyVerdict("RATE_LIMITED", "k1", retry_after_ms=1500)
    client = world.client()
    await client.connect("often")
    assert client.assert_error("rate_limited", 429)["data"]["retry_after_ms"] == 1500
    await client.connect()
    assert client.types() == ["connection_success", "message_delivered"]


async def test_a_key_that_is_used_up_is_told_why() -> None:
    world = World()
    world.keys.verdicts["spent"] = KeyVerdict("USAGE_EXCEEDED", "k1")
    client = world.client()
    await client.connect("spent")
    assert "used up" in client.assert_error("permission_denied", 403)["data"]["message"]


async def test_a_key_is_verified_with_the_address_that_it_came_from() -> None:
    world = World()
    client = world.client(client_address="192.0.2.7")
    await client.connect()
    assert world.keys.addresses == ["192.0.2.7"]


@pytest.mark.parametrize(("timed_out", "error_type", "code"), [(True, "timeout", 504), (False, "unavailable", 503)])
async def test_auth_away_keeps_the_connection(timed_out: bool, error_type: str, code: int) -> None:
    world = World()
    world.keys.away = ServiceAway("auth", timed_out=timed_out)
    client = world.client()
    await client.connect()
    error = client.assert_error(error_type, code)
    assert error["data"]["details"] == {"safe_to_repeat": True}
    assert client.connection.state is State.AWAITING_KEY


async def test_session_away_keeps_the_connection() -> None:
    world = World()
    world.link.answers["open"] = Failed(FailureKind.UNAVAILABLE, "away", False)
    client = world.client()
    await client.connect()
    client.assert_error("unavailable", 503)
    assert client.connection.state is State.AWAITING_KEY
    assert client.connection.facts is None


async def test_a_peer_that_goes_while_it_is_verified() -> None:
    world = World()
    client = world.client()
    world.keys.before_answer = lambda: world.gateway.lost(client.connection)
    await client.connect()
    assert world.link.commands == []
    assert client.connection.closed


async def test_a_peer_that_goes_while_its_session_opens() -> None:
    world = World()
    client = world.client()
    world.link.silent = True
    await client.connect()
    on_answer = world.link.waiting[0]
    client.connection.move(State.AUTHENTICATING)
    world.gateway.lost(client.connection)
    on_answer(world.link.answers["open"])
    assert world.link.names() == ["open", "close"]


async def test_frames_before_connect_and_a_second_connect_violate_the_protocol() -> None:
    world = World()
    early = world.client()
    await early.send("ping", id="p")
    assert early.assert_error("not_authenticated", 401, then=4003)["id"] == "p"
    twice = await world.authenticated()
    await twice.connect()
    twice.assert_error("already_authenticated", 409, then=4003)
    during = world.client()
    during.connection.move(State.AUTHENTICATING)
    await during.connect()
    during.assert_error("already_authenticated", 409, then=4003)


async def test_disconnect_is_answered_before_and_after_authentication() -> None:
    world = World()
    for client in (world.client(), await world.authenticated()):
        await client.send("disconnect", id="bye")
        last = client.frames()[-1]
        assert last["type"] == "disconnect"
        assert last["id"] == "bye"
        assert last["data"] == {"reason": "Client asked to disconnect", "code": 1000, "reconnect": False}
        assert client.sink.close_code == 1000
        await client.send("ping")
        assert client.sink.frames() == []


async def test_the_authentication_deadline_closes_only_those_that_wait() -> None:
    world = World()
    idle, busy = world.client(), await world.authenticated()
    for client in (idle, busy):
        world.gateway.authentication_deadline(client.connection)
    idle.assert_error("auth_timeout", 408, then=4000)
    assert busy.frames() == []


async def test_a_connection_that_ended_is_told_nothing_more() -> None:
    world = World()
    client = await world.authenticated()
    world.gateway.lost(client.connection)
    world.gateway.refuse(client.connection, FrameError(ErrorType.SERVER_ERROR), None)
    assert client.frames() == []
    assert not world.gateway.stats.errors


async def test_a_full_and_a_draining_edge_refuse() -> None:
    world = World(max_connections=1)
    first = world.client()
    second = world.client("bob")
    last = second.one()
    assert last["type"] == "disconnect"
    assert last["data"]["reconnect"] is True
    assert last["data"]["retry_after_ms"] == 2000
    assert second.sink.close_code == 1013
    world.gateway.lost(first.connection)
    world.gateway.draining = True
    assert world.client("carol").sink.close_code == 1013
    assert world.gateway.stats.connections_refused == 2


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"x",
        b"[]",
        b"1",
        b"{}",
        b'{"type": 1}',
        b'{"data": {}}',
        b'{"type":"\xff"}',
        b'{"type":"ping","data":{"a":"\xff"}}',
        b'{"type":"ping","data":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b'{"type":"ping","data":{"a":01}}',
        b'{"type":"ping"} {"type":"ping"}',
    ],
)
async def test_what_is_no_envelope_closes_with_4002(text: bytes) -> None:
    client = await World().authenticated()
    await client.send_text(text)
    client.assert_error("invalid_format", 400, then=4002)


@pytest.mark.parametrize(
    ("text", "frame_id"),
    [
        (b'{"type":"ping","id":""}', None),
        (b'{"type":"ping","id":7}', None),
        (b'{"type":"ping","id":"ok","channel":7}', "ok"),
        (b'{"type":"ping","channel":7}', None),
    ],
)
async def test_a_bad_field_of_the_envelope_stays_open(text: bytes, frame_id: str | None) -> None:
    client = await World().authenticated()
    await client.send_text(text)
    assert client.assert_error("invalid_format", 400).get("id") == frame_id


async def test_binary_malformed_and_oversized_messages() -> None:
    world = World()
    for act, code in (
        (world.gateway.receive_binary, 4002),
        (world.gateway.malformed, 4002),
        (world.gateway.too_big, 1009),
    ):
        client = await world.authenticated()
        act(client.connection)
        assert client.frames()[-1]["type"] == "disconnect"
        assert client.sink.close_code == code
        act(client.connection)
        assert client.sink.frames() == []


async def test_rate_limits_warn_and_then_close() -> None:
    world = World(limits=ConnectionLimits(frames_per_second=1, frames_burst=2, rate_limit_warnings=3))
    client = await world.authenticated()
    await client.send("ping")
    await client.send("ping")
    client.frames()
    for _ in range(3):
        await client.send("ping", id="x")
        error = client.assert_error("rate_limited", 429)
        assert error["id"] == "x"
        assert error["data"]["retry_after_ms"] == 1000
    await client.send("ping")
    client.assert_error("rate_limited", 429, then=4001)
    assert world.gateway.stats.rate_limited == 4


async def test_the_limits_of_a_key_are_shared_by_its_connections() -> None:
    world = World()
    limits = KeyLimits(key_frames_per_second=1, max_channels=7, max_connections=2)
    world.keys.verdicts["good"] = KeyVerdict("VALID", "k1", limits)
    first, second = await world.authenticated(), await world.authenticated("bob")
    assert first.connection.limits.max_channels == 7
    for client, kind in ((first, "pong"), (second, "pong"), (first, "error")):
        await client.send("ping")
        assert client.one()["type"] == kind
    third = world.client("carol")
    await third.connect()
    third.assert_error("rate_limited", 429, then=1013)
    world.gateway.lost(first.connection)
    await third.world.authenticated("dave")


async def test_an_unforeseen_exception_is_1011_and_noted() -> None:
    world = World()
    now, later = await world.authenticated(), await world.authenticated("bob")
    boom = RuntimeError("boom")

    def explode(*_: object, **__: object) -> None:
        raise boom

    world.link.read_presence = explode  # type: ignore[method-assign]
    await now.send("presence", {"channel": "room"}, id="p")
    assert now.assert_error("server_error", 500, then=1011)["data"]["message"] == "Internal server error"
    world.keys.known = False
    await later.send("presence", {"channel": "room"})
    later.assert_error("server_error", 500, then=1011)
    assert world.defects == [boom, boom]


async def test_a_slow_reader_is_let_go_and_others_are_not() -> None:
    world = World(limits=ConnectionLimits(max_outbox_bytes=2000))
    slow, fast = await world.member(), await world.member(client_id="bob")
    slow.sink.stuck = True
    for offset in range(6, 30):
        world.gateway.fanout.deliver("d/w/room", stored(offset))
        world.tick()
    assert slow.sink.close_code == 1013
    assert [frame["offset"] for frame in fast.frames()] == list(range(6, 30))
    assert world.gateway.stats.slow_consumers == 1
    assert world.closes == [(slow.connection.number, 1013, "Client reads too slowly")]


async def test_a_replay_does_not_count_against_the_bound() -> None:
    world = World(limits=ConnectionLimits(max_outbox_bytes=1000))
    messages = [stored(offset) for offset in range(1, 50)]
    world.link.answers["open"] = Opened(Position(EPOCH, 0), Position(EPOCH, 49), messages)
    client = world.client()
    client.sink.stuck = True
    await client.connect()
    world.tick()
    world.gateway.fanout.deliver("d/w/@alice", stored(50))
    world.tick()
    assert client.sink.close_code is None
    client.sink.stuck, client.sink.unsent = False, 0
    world.gateway.fanout.deliver("d/w/@alice", stored(51))
    offsets = [frame["offset"] for frame in client.frames() if frame["type"] == "chat_message"]
    assert offsets == list(range(1, 52))


@pytest.mark.parametrize("question", ["history", "presence"])
async def test_answers_do_not_count_against_the_bound_but_are_bounded_too(question: str) -> None:
    world = World(limits=ConnectionLimits(max_outbox_bytes=1000, max_replay_bytes=9000))
    world.link.answers["history"] = HistoryPage([stored(n) for n in range(1, 30)], Position(EPOCH, 29), False, None)
    world.link.answers["presence"] = PresenceList([Member(f"client-{n:03}", "chat", 0) for n in range(50)])
    client = await world.member()
    client.sink.stuck = True
    asked = 0
    while client.sink.close_code is None:
        await client.send(question, {"channel": "room"})
        world.tick()
        asked += 1
    assert asked > 2
    assert client.sink.close_code == 1013
    assert 4000 < client.sink.unsent < 1000 + 9000 + 500, "what was asked for, and the good-bye"
    assert world.gateway.stats.slow_consumers == 1


async def test_a_back_end_disconnects_a_client() -> None:
    world = World()
    for reconnect, code in ((True, 1001), (False, 1000)):
        client = await world.authenticated()
        world.gateway.disconnect_session(client.connection.number, "", reconnect=reconnect)
        assert client.one()["data"]["reason"] == "Disconnected by the server"
        assert client.sink.close_code == code
    world.gateway.disconnect_session(99, "nobody", reconnect=False)


async def test_drain_lets_a_client_go_spread_out() -> None:
    world = World()
    client = await world.authenticated()
    for _ in range(2):
        world.gateway.close_for_drain(client.connection, 10_000)
    last = client.one()
    assert world.gateway.stats.connections_drained == 1
    assert last["data"] == {"reason": "Edge is draining", "code": 1001, "reconnect": True, "retry_after_ms": 5000}


async def test_what_lives_here_can_be_told_to_a_new_session_service() -> None:
    world = World()
    world.client("idle")
    client = await world.member()
    number = client.connection.number
    assert [(who.client_id, inbox) for who, inbox in world.gateway.sessions()] == [("alice", Position(EPOCH, 0))]
    topics = {name: rest for name, *rest in world.gateway.subscriptions()}
    assert topics["d/w/room"] == [Position(EPOCH, 5), [number], []]
    assert set(topics) == {"d/w/room", "d/w/*", "d/w/@alice"}
    world.gateway.topics.remove("d/w/@alice", client.connection)
    assert world.gateway.sessions()[0][1] is None
    world.gateway.lost(client.connection)
    world.gateway.lost(client.connection)
    assert len(world.gateway.topics) == 0
    assert world.link.names().count("close") == 1


async def test_connect_resumes_channels_and_says_what_cannot_be_resumed() -> None:
    world = World()
    here = Position(EPOCH, 4)
    world.link.answers["open"] = Opened(here, here, [stored(4)], None, [stored(4)], None)
    client = world.client()
    entries = [
        {"channel": "room", "epoch": EPOCH, "offset": 3},
        {"channel": "bad name", "epoch": EPOCH, "offset": 3},
        {"channel": "*", "epoch": EPOCH, "offset": 3},
        {"channel": "@alice", "epoch": EPOCH, "offset": "3"},
    ]
    await client.connect(resume=entries)
    frames = client.frames()[3:]
    assert [(f["type"], f["channel"]) for f in frames] == [
        ("subscription_success", "*"),
        ("chat_message", "*"),
        ("subscription_success", "@alice"),
        ("chat_message", "@alice"),
        ("subscription_success", "room"),
        ("error", "bad name"),
    ]
    assert frames[0]["data"]["recovered"] is True
    assert frames[-1]["data"]["error_type"] == "channel_error"
    assert world.link.commands[0][2] == {"broadcasts": Position(EPOCH, 3), "inbox": Position(EPOCH, 3)}
    assert world.link.commands[1][:3] == ("join", 1, "d/w/room")
    assert world.link.commands[1][3]["since"] == Position(EPOCH, 3)
    await world.authenticated("bob")
    assert (world.gateway.stats.connections_authenticated, world.gateway.stats.connections_resumed) == (2, 1)


async def test_resume_asks_for_permissions_that_are_not_known() -> None:
    world = World()
    world.keys.known = False
    client = world.client()
    await client.connect(resume=[{"channel": "room", "epoch": EPOCH, "offset": 3}])
    assert client.types()[-1] == "subscription_success"


async def test_resumed_broadcasts_that_are_gone_are_told() -> None:
    world = World()
    here = Position(EPOCH, 9)
    world.link.answers["open"] = Opened(here, here, broadcasts_failure="epoch_changed")
    client = world.client()
    await client.connect(resume=[{"channel": "*", "epoch": "old", "offset": 3}])
    data = client.frames()[-1]["data"]
    assert (data["recovered"], data["reason"]) == (False, "epoch_changed")


async def test_answers_for_a_peer_that_is_gone_are_dropped() -> None:
    world = World()
    client = await world.member()
    world.link.silent = True
    await client.send("join_channel", {"channel": "other"})
    await client.send("leave_channel", {"channel": "room"})
    await client.send("chat_message", {"content": "x"}, channel="other")
    await client.send("presence", {"channel": "room"})
    client.frames()
    world.gateway.lost(client.connection)
    for on_answer, name in zip(world.link.waiting, ("join", "leave", "history", "presence"), strict=True):
        on_answer(world.link.answers[name])
    assert client.frames() == []
    assert world.gateway.topics.get("d/w/other") is None


def test_every_close_code_says_if_a_client_comes_back() -> None:
    assert set(RECONNECT) == set(CloseCode)


def test_states_only_move_forward() -> None:
    assert set(TRANSITIONS) == set(State)
    connection = World().client().connection
    with pytest.raises(AssertionError, match="cannot become"):
        connection.move(State.AUTHENTICATED)
    with pytest.raises(AssertionError, match="not authenticated"):
        _ = Connection.who.fget(connection)  # type: ignore[attr-defined]
