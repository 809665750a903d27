"""Sending until it is confirmed, against edges that fail at every step."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from tests.unit.tidewire_client.peers import EdgePeer, message, serving_edge, until_closed, unused_target
from tidewire_client.edge_connection import EdgeLogin
from tidewire_client.edge_sender import Confirmed, send_message
from tidewire_client.errors import (
    CallerNotAllowed,
    ConnectionLost,
    ConnectionRefused,
    ServerFault,
    ServiceTimeout,
    TidewireError,
)
from tidewire_client.message import Position

Socket = web.WebSocketResponse


async def confirm(peer: EdgePeer, socket: Socket) -> None:
    """An edge that works."""
    await peer.welcome(socket)
    await peer.join(socket)
    frame = await peer.expect(socket, "chat_message")
    await socket.send_json({**message(7), "id": frame["id"]})
    data = {"id": frame["id"], "channel": "lobby", "epoch": "e1", "offset": 7, "status": "success"}
    await socket.send_json({"type": "message_delivered", "id": frame["id"], "data": data})
    await until_closed(socket)


async def break_before_the_message(peer: EdgePeer, socket: Socket) -> None:
    await peer.welcome(socket)
    peer.break_off(socket)


async def break_after_the_message(peer: EdgePeer, socket: Socket) -> None:
    await peer.welcome(socket)
    await peer.join(socket)
    await peer.expect(socket, "chat_message")
    peer.break_off(socket)


async def say_nothing(peer: EdgePeer, socket: Socket) -> None:
    await peer.welcome(socket)
    await peer.join(socket)
    await peer.expect(socket, "chat_message")
    await until_closed(socket)


async def revoke_after_the_message(peer: EdgePeer, socket: Socket) -> None:
    await peer.welcome(socket)
    await peer.join(socket)
    await peer.expect(socket, "chat_message")
    await socket.send_json({"type": "disconnect", "data": {"reason": "revoked", "code": 4000, "reconnect": False}})
    await socket.close(code=4000)


async def send(peer: EdgePeer, **more: Any) -> Confirmed:
    async with serving_edge(peer) as url:
        return await send_message(EdgeLogin(url, "key", "ann"), "lobby", {"content": "hi"}, **more)


async def test_it_returns_where_the_message_stands() -> None:
    peer = EdgePeer(confirm)
    confirmed = await send(peer, message_id="m-1")
    assert confirmed == Confirmed("lobby", "m-1", Position("e1", 7))
    sent = peer.frames_of("chat_message")[0]
    assert (sent["id"], sent["channel"], sent["data"]) == ("m-1", "lobby", {"content": "hi"})


async def test_every_attempt_carries_the_same_id_and_client_id() -> None:
    peer = EdgePeer(break_before_the_message, break_after_the_message, break_after_the_message, confirm)
    confirmed = await send(peer)
    assert {frame["id"] for frame in peer.frames_of("chat_message")} == {confirmed.id}
    assert len(peer.frames_of("chat_message")) == 3
    assert peer.client_ids == ["ann"] * 4


@pytest.mark.parametrize("script", [break_after_the_message, say_nothing, revoke_after_the_message])
@pytest.mark.parametrize(("message_id", "safe"), [("m-1", True), (None, False)])
async def test_a_message_that_may_be_stored_is_safe_to_repeat_for_whoever_knows_its_id(
    script: Any, message_id: str | None, safe: bool
) -> None:
    with pytest.raises((ConnectionLost, ServiceTimeout, ConnectionRefused)) as raised:
        await send(EdgePeer(script), message_id=message_id, deadline_s=0.5)
    assert raised.value.safe_to_repeat is safe


async def test_what_never_left_is_safe_to_repeat() -> None:
    with pytest.raises(TidewireError) as raised:
        await send(EdgePeer(break_before_the_message), deadline_s=0.3)
    assert raised.value.safe_to_repeat
    with unused_target() as target, pytest.raises(ConnectionLost, match="nothing can be reached") as raised_there:
        await send_message(EdgeLogin(f"http://{target}", "key", "ann"), "lobby", {}, deadline_s=0.3)
    assert raised_there.value.safe_to_repeat


async def test_a_refusal_is_final() -> None:
    async def script(peer: EdgePeer, socket: Socket) -> None:
        await peer.welcome(socket)
        await peer.join(socket)
        frame = await peer.expect(socket, "chat_message")
        data = {"message": "Missing permission: publish:lobby", "error_type": "permission_denied", "code": 403}
        await socket.send_json({"type": "error", "id": frame["id"], "data": data})
        await until_closed(socket)

    peer = EdgePeer(script)
    with pytest.raises(CallerNotAllowed, match="publish:lobby") as raised:
        await send(peer)
    assert raised.value.safe_to_repeat
    assert peer.connections == 1


async def test_a_confirmation_without_a_place_is_none() -> None:
    async def script(peer: EdgePeer, socket: Socket) -> None:
        await peer.welcome(socket)
        await peer.join(socket)
        frame = await peer.expect(socket, "chat_message")
        await socket.send_json({"type": "message_delivered", "id": frame["id"], "data": {}})
        await until_closed(socket)

    with pytest.raises(ServerFault, match="where it stands"):
        await send(EdgePeer(script))
