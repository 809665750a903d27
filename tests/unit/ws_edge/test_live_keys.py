"""What a change of a key does to the connections that live by it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.ws_edge.fakes import EPOCH, World
from ws_edge.core.connection import Membership, State
from ws_edge.core.errors import ErrorType, FrameError
from ws_edge.core.limits import ConnectionLimits
from ws_edge.core.ports import (
    Failed,
    FailureKind,
    Joined,
    KeyLimits,
    KeyVerdict,
    Left,
    Opened,
    Position,
    ServiceAway,
    StoredMessage,
)

DENIED = [
    ("REVOKED", "key_revoked"),
    ("DISABLED", "key_disabled"),
    ("EXPIRED", "token_expired"),
    ("NOT_FOUND", "invalid_key"),
    ("UNSPECIFIED", "invalid_key"),
    ("FORBIDDEN", "permission_denied"),
]
# The revision of a change that came after a connection was let in.
CHANGED = 1
FAILED = Failed(FailureKind.UNAVAILABLE, "away", safe_to_repeat=True)


def a_key(**limits: int) -> KeyVerdict:
    return KeyVerdict("VALID", "k1", KeyLimits(**limits))


@pytest.mark.parametrize(("code", "error_type"), DENIED)
async def test_a_key_that_goes_bad_ends_its_live_connections(code: str, error_type: str) -> None:
    world = World()
    client = await world.authenticated()
    keys = world.gateway.live_keys
    assert keys.changed("k2") == []
    assert keys.changed("k1") == [client.connection]
    keys.end(client.connection, "k1", code)
    client.assert_error(error_type, 403, then=4000)
    keys.end(client.connection, "k1", code)
    assert client.frames() == []
    assert keys.changed("k1") == []


async def test_whoever_came_back_with_another_key_is_not_ended_for_the_first_one() -> None:
    world = World()
    world.keys.verdicts["better"] = KeyVerdict("VALID", "k2")
    world.link.answers["open"] = FAILED
    client = world.client()
    await client.connect()
    world.link.answers["open"] = Opened(Position(EPOCH, 0), Position(EPOCH, 0), [])
    world.gateway.live_keys.end(client.connection, "k1", "REVOKED")
    assert client.connection.state is State.AWAITING_KEY
    await client.connect("better")
    world.gateway.live_keys.end(client.connection, "k1", "REVOKED")
    assert client.connection.state is State.AUTHENTICATED


async def test_a_narrowed_key_loses_just_the_channels_it_may_no_longer_see() -> None:
    world = World()
    client = await world.member("kept")
    await client.send("join_channel", {"channel": "lost"})
    client.frames()
    world.keys.denied.add(("join", "lost"))
    await world.gateway.live_keys.recheck(client.connection, CHANGED)
    gone, status = client.frames()
    assert gone["type"] == "unsubscription_success"
    assert gone["data"]["channel"] == "lost"
    assert gone["data"]["reason"] == "permission_denied"
    assert status["type"] == "auth_status"
    assert list(client.connection.channels) == ["kept"]
    world.gateway.fanout.deliver("d/w/lost", message(6))
    world.gateway.fanout.deliver("d/w/kept", message(6))
    assert [frame["channel"] for frame in client.frames()] == ["kept"]


@pytest.mark.parametrize(("code", "error_type"), DENIED)
async def test_a_recheck_closes_what_was_ended_in_the_dark(code: str, error_type: str) -> None:
    world = World()
    client = await world.authenticated()
    world.keys.key = KeyVerdict(code, "k1")
    assert world.gateway.live_keys.all_changed() == [client.connection]
    await world.gateway.live_keys.recheck(client.connection, CHANGED)
    client.assert_error(error_type, 403, then=4000)
    assert world.gateway.live_keys.all_changed() == []


async def test_a_recheck_without_the_auth_service_changes_nothing() -> None:
    world = World()
    client = await world.authenticated()
    world.keys.away = ServiceAway("auth", timed_out=False)
    with pytest.raises(ServiceAway):
        await world.gateway.live_keys.recheck(client.connection, CHANGED)
    assert client.frames() == []


async def test_a_peer_that_goes_during_a_recheck() -> None:
    for goes_at in (0, 1):
        world = World()
        client = await world.member()
        world.keys.denied.add(("join", "room"))
        calls = [lambda: None, lambda: None]
        calls[goes_at] = lambda world=world, client=client: world.gateway.lost(client.connection)  # type: ignore[misc]
        steps = iter(calls)
        world.keys.before_answer = lambda steps=steps: next(steps)()  # type: ignore[misc]
        await world.gateway.live_keys.recheck(client.connection, CHANGED)
        assert world.link.names().count("leave") == 0
    world.keys.before_answer = lambda: None
    await world.gateway.live_keys.recheck(client.connection, CHANGED)
    assert client.frames() == []


async def test_a_session_that_does_not_open_during_a_recheck() -> None:
    world = World()
    world.keys.key = KeyVerdict("REVOKED", "k1")
    client = world.client()

    async def fails(*args: Any, **kwargs: Any) -> None:
        world.keys.before_answer = lambda: setattr(client.connection, "facts", None)
        await world.gateway.live_keys.recheck(client.connection, CHANGED)
        raise FrameError(ErrorType.UNAVAILABLE)

    world.link.open = fails  # type: ignore[method-assign]
    await client.connect()
    client.assert_error("unavailable", 503)
    assert client.connection.state is State.AWAITING_KEY


async def test_a_recheck_of_whoever_has_no_key_any_more_does_nothing() -> None:
    world = World()
    client = world.client()
    await world.gateway.live_keys.recheck(client.connection, CHANGED)
    assert client.types() == ["connection_established"]


async def test_expiry_ends_a_live_connection_on_time() -> None:
    world = World()
    until = world.clock.seconds + 10
    world.keys.verdicts["good"] = KeyVerdict("VALID", "k1", expire_time_s=until)
    client = await world.authenticated()
    world.keys.verdicts["good"] = KeyVerdict("VALID", "k2")
    await world.authenticated("bob")
    world.clock.seconds = until - 0.001
    assert world.gateway.live_keys.expired() == []
    world.clock.seconds = until
    assert world.gateway.live_keys.expired() == [client.connection]


@pytest.mark.parametrize("change_s", [-5, 20, None], ids=["earlier", "later", "never"])
async def test_a_changed_expiry_reaches_live_connections(change_s: float | None) -> None:
    world = World()
    until = world.clock.seconds + 10
    world.keys.verdicts["good"] = KeyVerdict("VALID", "k1", expire_time_s=until)
    client = await world.authenticated()
    new = None if change_s is None else until + change_s
    world.keys.key = KeyVerdict("VALID", "k1", expire_time_s=new)
    await world.gateway.live_keys.recheck(client.connection, CHANGED)
    for moment in (until - 5, until, until + 20, until + 1_000_000):
        world.clock.seconds = moment
        ended = new is not None and moment >= new
        assert world.gateway.live_keys.expired() == ([client.connection] if ended else [])


async def test_changed_limits_reach_live_connections_and_what_is_used_up_stays_used_up() -> None:
    world = World(limits=ConnectionLimits(frames_per_second=10, frames_burst=20, max_channels=5))
    client = await world.authenticated()
    world.keys.key = a_key(frames_per_second=1, frames_burst=2, bytes_per_second=500_000, max_channels=1)
    await world.gateway.live_keys.recheck(client.connection, CHANGED)
    client.frames()
    assert client.connection.limits.bytes_per_second == 500_000
    for channel in ("a", "b"):
        await client.send("join_channel", {"channel": channel})
    client.assert_error("channel_error", 409)
    await client.send("ping")
    client.assert_error("rate_limited", 429)
    # Checked again without a change: nothing is given back.
    await world.gateway.live_keys.recheck(client.connection, CHANGED)
    client.frames()
    await client.send("ping")
    client.assert_error("rate_limited", 429)
    # Back to what the edge allows: it fills up at that rate.
    world.keys.key = a_key()
    await world.gateway.live_keys.recheck(client.connection, CHANGED)
    client.frames()
    assert client.connection.limits == ConnectionLimits(frames_per_second=10, frames_burst=20, max_channels=5)
    world.clock.seconds += 0.125
    await client.send("ping")
    assert client.types() == ["pong"]
    await client.send("ping")
    client.assert_error("rate_limited", 429)


async def test_changed_limits_of_all_connections_of_a_key() -> None:
    world = World()
    clients = [await world.authenticated(name) for name in ("alice", "bob")]
    world.keys.key = a_key(key_frames_per_second=1, key_bytes_per_second=10_000)
    for client in clients:
        await world.gateway.live_keys.recheck(client.connection, CHANGED)
        client.frames()
    for client in clients:
        await client.send("ping")
        assert client.types() == ["pong"]
    await clients[0].send("ping")
    clients[0].assert_error("rate_limited", 429)
    # Whoever comes later with a newer verdict brings the newer limits for all.
    world.keys.verdicts["good"] = a_key(key_frames_per_second=1000)
    await world.authenticated("carol")
    world.clock.seconds += 0.1
    for client in clients:
        await client.send("ping")
        assert client.types() == ["pong"]


async def test_the_newest_verdict_is_the_one_that_a_connection_begins_with() -> None:
    world = World()
    until = world.clock.seconds + 10
    client = world.client()
    open_session = world.link.open

    async def changed_meanwhile(*args: Any, **kwargs: Any) -> None:
        world.keys.key = replace(a_key(max_channels=7), expire_time_s=until)
        await world.gateway.live_keys.recheck(client.connection, CHANGED)
        assert client.types() == ["connection_established"]
        await open_session(*args, **kwargs)

    world.link.open = changed_meanwhile  # type: ignore[method-assign]
    await client.connect()
    success = client.frames()[0]
    assert success["type"] == "connection_success"
    assert success["data"]["limits"]["max_channels"] == 7
    assert client.connection.expire_time_s == until
    assert client.connection.newest_verdict is None


async def test_a_key_that_goes_bad_while_the_session_opens() -> None:
    world = World()
    client = world.client()
    open_session = world.link.open

    async def revoked_meanwhile(*args: Any, **kwargs: Any) -> None:
        for connection in world.gateway.live_keys.changed("k1"):
            world.gateway.live_keys.end(connection, "k1", "REVOKED")
        await open_session(*args, **kwargs)

    world.link.open = revoked_meanwhile  # type: ignore[method-assign]
    await client.connect()
    client.assert_error("key_revoked", 403, then=4000)
    assert world.link.names()[-1] == "close"


def message(offset: int) -> StoredMessage:
    return StoredMessage("chat_message", f"m{offset}", "bob", EPOCH, offset, 0, b'{"content":"x"}')


async def test_a_channel_that_is_lost_while_it_is_joined_shows_nothing() -> None:
    world = World()
    client = await world.authenticated()
    world.link.silent = True
    await client.send("join_channel", {"channel": "room"})
    world.keys.denied.add(("join", "room"))
    for _ in range(2):
        await world.gateway.live_keys.recheck(client.connection, CHANGED)
    client.frames()
    joined, left = world.link.waiting
    joined(Joined(Position(EPOCH, 5), True, None, [message(5)]))
    world.gateway.fanout.deliver("d/w/room", message(6))
    assert client.frames() == []
    await client.send("ack", {"channel": "room", "epoch": EPOCH, "offset": 5})
    client.assert_error("channel_error", 404)
    left(Left())
    gone = client.one()
    assert (gone["type"], gone["data"]["reason"]) == ("unsubscription_success", "permission_denied")
    assert not client.connection.channels


async def test_a_channel_that_is_lost_while_its_join_fails() -> None:
    world = World()
    client = await world.authenticated()
    world.link.silent = True
    await client.send("join_channel", {"channel": "room"})
    world.keys.denied.add(("join", "room"))
    await world.gateway.live_keys.recheck(client.connection, CHANGED)
    client.frames()
    joined, left = world.link.waiting
    joined(FAILED)
    client.assert_error("unavailable", 503)
    left(FAILED)
    assert client.frames() == []
    assert not client.connection.channels


@pytest.mark.parametrize("answer", [Left(), FAILED])
async def test_a_channel_that_is_lost_while_it_is_left(answer: Any) -> None:
    world = World()
    client = await world.member("room")
    world.link.silent = True
    await client.send("leave_channel", {"channel": "room"})
    world.keys.denied.add(("join", "room"))
    await world.gateway.live_keys.recheck(client.connection, CHANGED)
    client.frames()
    world.gateway.fanout.deliver("d/w/room", message(6))
    assert client.frames() == []
    own, others = world.link.waiting
    own(answer)
    others(answer)
    ended = [frame for frame in client.frames() if frame["type"] == "unsubscription_success"]
    assert len(ended) == 1
    assert not client.connection.channels


async def test_a_channel_that_is_joined_again_behind_its_leave() -> None:
    world = World()
    client = await world.member("room")
    world.link.silent = True
    await client.send("leave_channel", {"channel": "room"})
    await client.send("join_channel", {"channel": "room"})
    left, joined = world.link.waiting
    left(Left())
    joined(Joined(Position(EPOCH, 7), False, None, []))
    assert client.types() == [
        "message_delivered",
        "unsubscription_success",
        "message_delivered",
        "subscription_success",
    ]
    assert client.connection.channels == {"room": Membership.JOINED}
    world.gateway.fanout.deliver("d/w/room", message(8))
    assert client.types() == ["chat_message"]


async def test_a_permission_that_was_overtaken_by_a_change_is_asked_for_again() -> None:
    world = World()
    client = await world.authenticated()
    world.keys.known = False
    asked = []

    def overtaken_once() -> None:
        asked.append(1)
        if len(asked) == 1:
            world.gateway.live_keys.changed("k1")
        else:
            world.keys.denied.add(("join", "room"))

    world.keys.before_answer = overtaken_once
    await client.send("join_channel", {"channel": "room"})
    client.assert_error("permission_denied", 403)
    assert len(asked) == 2
    assert "join" not in world.link.names()


def test_limits_of_a_key_that_nobody_holds_change_nothing() -> None:
    registry = World().gateway.registry
    registry.retune("unknown", KeyLimits(key_frames_per_second=1), 0.0)
    assert registry.of_key("unknown") == []


async def test_a_change_that_came_before_a_connection_was_let_in_is_no_news_to_it() -> None:
    """Of a key that was made just now the edge may hear after its holder has connected."""
    world = World()
    world.keys.verdicts["good"] = KeyVerdict("VALID", "k1", revision=7)
    client = await world.authenticated()
    client.frames()
    await world.gateway.live_keys.recheck(client.connection, 7)
    assert client.frames() == []
    await world.gateway.live_keys.recheck(client.connection, 8)
    assert client.one()["type"] == "auth_status"


async def test_a_change_is_told_also_where_word_of_an_earlier_one_came_after_it_was_made() -> None:
    """The verdict that is asked for because of the earlier one knows of the later one already."""
    world = World()
    world.keys.verdicts["good"] = KeyVerdict("VALID", "k1", revision=7)
    client = await world.authenticated()
    client.frames()
    world.keys.key = KeyVerdict("VALID", "k1", revision=9)
    await world.gateway.live_keys.recheck(client.connection, 7)
    assert client.frames() == []
    await world.gateway.live_keys.recheck(client.connection, 8)
    assert client.one()["type"] == "auth_status"
    await world.gateway.live_keys.recheck(client.connection, 9)
    assert client.frames() == [], "it was told of both"
