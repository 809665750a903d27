"""The listener against edges that break off, drain, refuse, repeat and forget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.unit.tidewire_client import peers
from tests.unit.tidewire_client.peers import EdgePeer, Script, message, serving_edge, until_closed, unused_target
from tidewire_client import listener as listener_module
from tidewire_client.edge_connection import EdgeLogin
from tidewire_client.errors import CallerNotAllowed, ConnectionLost, ConnectionRefused, InvalidRequest
from tidewire_client.listener import Event, Interrupted, Joined, Listener, Lost, Received
from tidewire_client.message import Position

Socket = web.WebSocketResponse
DEADLINE_S = 10.0


@asynccontextmanager
async def listening(*scripts: Script, channels: tuple[str, ...] = ("lobby",), **more: Any) -> AsyncIterator[Any]:
    """A listener and its edge, whose connections run a script each after they are let in."""

    def whole(script: Script) -> Script:
        async def run(peer: EdgePeer, socket: Socket) -> None:
            await peer.welcome(socket)
            await script(peer, socket)

        return run

    peer = EdgePeer(*map(whole, scripts))
    async with serving_edge(peer) as url, Listener(EdgeLogin(url, "key", "ann"), *channels, **more) as listener:
        yield listener, peer


async def take(listener: Listener, count: int) -> list[int]:
    """Return the offsets of the next messages."""
    offsets: list[int] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(offsets) < count:
            event = await anext(listener)
            if isinstance(event, Received):
                assert event.frame.position is not None
                offsets.append(event.frame.position.offset)
    return offsets


async def take_event(listener: Listener, kind: type[Event]) -> Any:  # type: ignore[valid-type]
    async with asyncio.timeout(DEADLINE_S):
        while not isinstance(event := await anext(listener), kind):
            pass
        return event


async def send(socket: Socket, *offsets: int, **more: Any) -> None:
    for offset in offsets:
        await socket.send_json(message(offset, **more))


async def test_messages_come_in_order() -> None:
    async def script(peer: EdgePeer, socket: Socket) -> None:
        await peer.join(socket, offset=4)
        await send(socket, 5, 6, 7)
        await until_closed(socket)

    async with listening(script) as (listener, peer):
        assert await anext(listener) == Joined("lobby", Position("e1", 4))
        assert await take(listener, 3) == [5, 6, 7]
    assert peer.client_ids == ["ann"]


async def test_after_a_broken_connection_it_goes_on_where_it_stood() -> None:
    async def first(peer: EdgePeer, socket: Socket) -> None:
        assert "recover" not in await peer.join(socket, offset=4)
        await send(socket, 5, 6)
        peer.break_off(socket)

    async def second(peer: EdgePeer, socket: Socket) -> None:
        assert (await peer.join(socket, offset=8))["recover"] == {"epoch": "e1", "offset": 6}
        await send(socket, 7, 8, 8, 9)
        await until_closed(socket)

    async with listening(first, second) as (listener, peer):
        assert await take(listener, 2) == [5, 6]
        interrupted = await take_event(listener, Interrupted)
        assert interrupted.wait_s <= 0.1
        assert await take(listener, 3) == [7, 8, 9]
        assert peer.connections == 2


async def test_it_obeys_when_the_edge_wants_to_see_it_again() -> None:
    async def first(peer: EdgePeer, socket: Socket) -> None:
        await peer.join(socket)
        data = {"reason": "draining", "code": 1001, "reconnect": True, "retry_after_ms": 300}
        await socket.send_json({"type": "disconnect", "data": data})
        await socket.close(code=1001)

    async def second(peer: EdgePeer, socket: Socket) -> None:
        await peer.join(socket)
        await until_closed(socket)

    async with listening(first, second) as (listener, _):
        await take_event(listener, Joined)
        interrupted = await take_event(listener, Interrupted)
        assert interrupted == Interrupted("draining", 0.3)
        started = asyncio.get_running_loop().time()
        await take_event(listener, Joined)
        assert asyncio.get_running_loop().time() - started >= 0.29


async def test_it_does_not_come_back_when_it_must_not() -> None:
    async def script(peer: EdgePeer, socket: Socket) -> None:
        await peer.join(socket)
        await socket.send_json({"type": "error", "data": {"error_type": "key_revoked", "code": 403}})
        await socket.send_json(
            {"type": "disconnect", "data": {"reason": "API key revoked", "code": 4000, "reconnect": False}}
        )
        await socket.close(code=4000)

    async with listening(script) as (listener, peer):
        await take_event(listener, Joined)
        with pytest.raises(ConnectionRefused, match="revoked") as raised:
            await anext(listener)
        assert raised.value.error_type == "key_revoked"
        assert peer.connections == 1


async def test_a_gap_makes_it_ask_again() -> None:
    async def first(peer: EdgePeer, socket: Socket) -> None:
        await peer.join(socket, offset=4)
        await send(socket, 5, 7)
        await until_closed(socket)

    async def second(peer: EdgePeer, socket: Socket) -> None:
        assert (await peer.join(socket, offset=7))["recover"]["offset"] == 5
        await send(socket, 6, 7)
        await until_closed(socket)

    async with listening(first, second) as (listener, _):
        assert await take(listener, 3) == [5, 6, 7]


@pytest.mark.parametrize("reason", ["history_expired", "epoch_changed"])
async def test_a_loss_is_told(reason: str) -> None:
    async def script(peer: EdgePeer, socket: Socket) -> None:
        await peer.join(socket, "e2", offset=9, recovered=False, reason=reason)
        await send(socket, 8, 9, epoch="e2")
        data = {"channel": "lobby", "epoch": "e3", "offset": 3, "recovered": False, "reason": "epoch_changed"}
        await socket.send_json({"type": "subscription_success", "channel": "lobby", "data": data})
        await send(socket, 4, epoch="e3")
        await until_closed(socket)

    async with listening(script, since={"lobby": Position("e2", 2)}) as (listener, _):
        lost = await take_event(listener, Lost)
        assert (lost.channel, lost.reason, lost.frame.type) == ("lobby", reason, "subscription_success")
        assert await take(listener, 2) == [8, 9]
        assert (await take_event(listener, Lost)).reason == "epoch_changed"
        assert await take(listener, 1) == [4]


async def test_several_channels_share_a_connection() -> None:
    async def first(peer: EdgePeer, socket: Socket) -> None:
        await peer.join(socket, offset=1)
        await send(socket, 2, channel="a")
        await peer.join(socket, offset=10)
        await send(socket, 11, channel="b")
        await send(socket, 3, channel="a")
        await send(socket, 1, channel="other")
        await send(socket, 12, channel="b")
        peer.break_off(socket)

    async def second(peer: EdgePeer, socket: Socket) -> None:
        assert await peer.join(socket, offset=3) == {"channel": "a", "recover": {"epoch": "e1", "offset": 3}}
        assert await peer.join(socket, offset=12) == {"channel": "b", "recover": {"epoch": "e1", "offset": 12}}
        await send(socket, 4, channel="a")
        await until_closed(socket)

    async with listening(first, second, channels=("a", "b")) as (listener, _):
        assert await take(listener, 5) == [2, 11, 3, 12, 4]


async def test_a_session_service_that_is_away_is_waited_for_on_the_same_connection() -> None:
    async def script(peer: EdgePeer, socket: Socket) -> None:
        frame = await peer.expect(socket, "join_channel")
        data = {"message": "away", "error_type": "unavailable", "code": 503, "retry_after_ms": 10}
        await socket.send_json({"type": "error", "id": frame["id"], "data": data})
        await peer.join(socket, offset=1)
        await send(socket, 2)
        await until_closed(socket)

    async with listening(script) as (listener, peer):
        assert await take(listener, 1) == [2]
        assert peer.connections == 1


async def test_a_channel_that_the_key_does_not_allow() -> None:
    async def script(peer: EdgePeer, socket: Socket) -> None:
        frame = await peer.expect(socket, "join_channel")
        data = {"message": "Missing permission: join:lobby", "error_type": "permission_denied", "code": 403}
        await socket.send_json({"type": "error", "id": frame["id"], "data": data})
        await until_closed(socket)

    async with listening(script) as (listener, _):
        with pytest.raises(CallerNotAllowed, match="join:lobby"):
            await anext(listener)


async def test_a_channel_that_the_key_no_longer_allows() -> None:
    async def script(peer: EdgePeer, socket: Socket) -> None:
        await peer.join(socket)
        data = {"channel": "lobby", "reason": "permission_denied"}
        await socket.send_json({"type": "unsubscription_success", "channel": "lobby", "data": data})
        await until_closed(socket)

    async with listening(script) as (listener, _):
        await take_event(listener, Joined)
        with pytest.raises(CallerNotAllowed, match="no longer allows lobby"):
            await anext(listener)


async def test_when_nothing_was_acknowledged_it_listens_from_now_on() -> None:
    async def script(peer: EdgePeer, socket: Socket) -> None:
        assert (await peer.join(socket, offset=7))["recover"] == "last_acked"
        ping = await peer.expect(socket, "ping")
        await socket.send_json({"type": "pong", "id": ping["id"], "data": {}})
        await send(socket, 8)
        await until_closed(socket)

    async with listening(script, last_acked=True) as (listener, _):
        assert await anext(listener) == Joined("lobby", Position("e1", 7))
        assert await take(listener, 1) == [8]


async def test_it_goes_on_after_what_was_acknowledged() -> None:
    async def script(peer: EdgePeer, socket: Socket) -> None:
        await peer.join(socket, offset=7)
        await send(socket, 6, 7)
        ping = await peer.expect(socket, "ping")
        await socket.send_json({"type": "pong", "id": ping["id"], "data": {}})
        await until_closed(socket)

    async with listening(script, last_acked=True) as (listener, _):
        assert await anext(listener) == Joined("lobby", None)
        assert await take(listener, 2) == [6, 7]


async def test_acknowledgements_are_gathered_and_the_last_one_is_told_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener_module, "ACK_INTERVAL_S", 60.0)
    acks: list[int] = []
    done = asyncio.Event()

    async def script(peer: EdgePeer, socket: Socket) -> None:
        await peer.join(socket)
        await send(socket, *range(1, 51))
        async for received in socket:
            frame = received.json()
            assert frame["type"] == "ack"
            assert frame["data"]["channel"] == "lobby"
            acks.append(frame["data"]["offset"])
        done.set()

    async with listening(script) as (listener, _):
        count = 0
        async for event in listener:
            if isinstance(event, Received):
                listener.acknowledge(event)
                count += 1
            if count == 50:
                break
        await listener.close()
        async with asyncio.timeout(DEADLINE_S):
            await done.wait()
    assert acks[-1] == 50
    assert len(acks) == 2


async def test_an_acknowledgement_is_told_soon_even_if_nothing_more_comes() -> None:
    acked = asyncio.Event()

    async def script(peer: EdgePeer, socket: Socket) -> None:
        await peer.join(socket)
        await send(socket, 1, 2)
        while (await socket.receive_json())["data"]["offset"] < 2:
            pass
        acked.set()
        await until_closed(socket)

    async with listening(script) as (listener, _):

        async def handle() -> None:
            async for event in listener:
                if isinstance(event, Received):
                    listener.acknowledge(event)

        handling = asyncio.create_task(handle())
        async with asyncio.timeout(DEADLINE_S):
            await acked.wait()
        handling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handling


async def test_waiting_for_the_next_event_can_be_cancelled() -> None:
    go = asyncio.Event()

    async def script(peer: EdgePeer, socket: Socket) -> None:
        await peer.join(socket)
        await go.wait()
        await send(socket, 1)
        await until_closed(socket)

    async with listening(script) as (listener, _):
        await take_event(listener, Joined)
        waiting = asyncio.ensure_future(anext(listener))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go.set()
        assert await take(listener, 1) == [1]


async def test_without_any_edge_it_gives_up_after_its_time() -> None:
    with unused_target() as target:
        login = EdgeLogin(f"http://{target}", "key", "ann")
        async with Listener(login, "lobby", first_connection_s=0.3) as listener:
            with pytest.raises(ConnectionLost, match="nothing can be reached"):
                await take_event(listener, Joined)


async def test_once_connected_it_outlives_an_outage_longer_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "LONGEST_WAIT_S", 0.05)

    async def script(peer: EdgePeer, socket: Socket) -> None:
        await peer.welcome(socket)
        await peer.join(socket)
        peer.break_off(socket)

    async def refuse(peer: EdgePeer, socket: Socket) -> None:
        await socket.close(code=1013)

    peer = EdgePeer(script, *[refuse] * 5, script)
    async with (
        serving_edge(peer) as url,
        Listener(EdgeLogin(url, "key", "ann"), "lobby", first_connection_s=0.01) as listener,
    ):
        await take_event(listener, Joined)
        await take_event(listener, Joined)
        assert peer.connections == 7


async def test_an_address_that_is_none_is_refused_at_once() -> None:
    async with peers.serving_status(400) as url, Listener(EdgeLogin(url, "key", "a b"), "lobby") as listener:
        with pytest.raises(InvalidRequest):
            await anext(listener)
