"""One connection, against an edge that behaves in chosen ways."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import WSCloseCode, web

from tests.support.authority import Authority
from tests.unit.tidewire_client import peers
from tests.unit.tidewire_client.peers import EdgePeer, Script, message, serving_edge, until_closed, unused_target
from tidewire_client import edge_connection
from tidewire_client.edge_connection import EdgeConnection, EdgeLogin
from tidewire_client.edge_frames import Frame
from tidewire_client.errors import (
    CallerNotAllowed,
    ConnectionLost,
    ConnectionRefused,
    InvalidRequest,
    ServerFault,
)

Socket = web.WebSocketResponse
KEY = "tw_live_4fK2_secret"


def login(url: str) -> EdgeLogin:
    return EdgeLogin(url, KEY, "ann", "d", "w")


@asynccontextmanager
async def connected(script: Script) -> AsyncIterator[tuple[EdgeConnection, EdgePeer]]:
    """A connection that is let in; then the script runs."""

    async def whole(peer: EdgePeer, socket: Socket) -> None:
        await peer.welcome(socket)
        await script(peer, socket)

    peer = EdgePeer(whole)
    async with serving_edge(peer) as url:
        connection = await EdgeConnection.open(login(url))
        try:
            yield connection, peer
        finally:
            await connection.close()


async def next_message(connection: EdgeConnection) -> Frame:
    while not (frame := await connection.receive()).is_message:
        pass
    return frame


async def until_it_ends(connection: EdgeConnection, *, sending: bool = False) -> None:
    while True:
        if sending:
            await connection.send("ack", {})
        await connection.receive()


async def wait_for_close(_: EdgePeer, socket: Socket) -> None:
    await until_closed(socket)


@pytest.fixture
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_connection, "ANSWER_DEADLINE_S", 0.3)


async def test_it_authenticates_with_what_the_login_says() -> None:
    async with connected(wait_for_close) as (_, peer):
        pass
    assert peer.client_ids == ["ann"]
    assert peer.frames[0]["data"] == {
        "api_key": KEY,
        "connection_type": "chat",
        "domain": "d",
        "workspace": "w",
    }


def test_the_key_is_not_in_the_repr_of_a_login() -> None:
    assert "secret" not in repr(login("http://x"))
    assert login("http://x/").websocket_url == "http://x/client_ann"


async def test_what_comes_while_an_answer_is_awaited_is_kept_in_order() -> None:
    async def script(peer: EdgePeer, socket: Socket) -> None:
        frame = await peer.expect(socket, "ping")
        for offset in (1, 2):
            await socket.send_json(message(offset))
        await socket.send_json({"type": "pong", "id": frame["id"], "data": {}})
        await socket.send_json(message(3))
        await until_closed(socket)

    async with connected(script) as (connection, _):
        assert (await connection.ask("ping", {}, {"pong"})).type == "pong"
        assert connection.has_message("lobby")
        assert not connection.has_message("other")
        assert [(await next_message(connection)).id for _ in range(3)] == ["m-1", "m-2", "m-3"]


async def test_receiving_can_be_cancelled_without_a_loss() -> None:
    go = asyncio.Event()

    async def script(_: EdgePeer, socket: Socket) -> None:
        await go.wait()
        await socket.send_json(message(1))
        await until_closed(socket)

    async with connected(script) as (connection, _):
        while (await connection.receive()).type != "message_delivered":
            pass
        waiting = asyncio.create_task(connection.receive())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go.set()
        assert (await connection.receive()).id == "m-1"


@pytest.mark.parametrize("error_type", ["unavailable", "timeout", "rate_limited"])
async def test_what_passes_is_asked_again(error_type: str) -> None:
    async def script(peer: EdgePeer, socket: Socket) -> None:
        for _ in range(2):
            frame = await peer.expect(socket, "ping")
            data = {"message": "later", "error_type": error_type, "code": 503, "retry_after_ms": 10}
            await socket.send_json({"type": "error", "id": frame["id"], "data": data})
            await socket.send_json(message(1))
        frame = await peer.expect(socket, "ping")
        await socket.send_json({"type": "pong", "id": frame["id"], "data": {}})
        await until_closed(socket)

    async with connected(script) as (connection, peer):
        await connection.ask("ping", {}, {"pong"})
        assert len({frame["id"] for frame in peer.frames_of("ping")}) == 1


async def test_a_refusal_is_raised_and_the_connection_stays() -> None:
    async def script(peer: EdgePeer, socket: Socket) -> None:
        frame = await peer.expect(socket, "join_channel")
        data = {"message": "Missing permission: join:ops", "error_type": "permission_denied", "code": 403}
        await socket.send_json({"type": "error", "id": frame["id"], "data": data})
        await peer.join(socket)
        await until_closed(socket)

    async with connected(script) as (connection, _):
        with pytest.raises(CallerNotAllowed, match="join:ops"):
            await connection.ask("join_channel", {"channel": "ops"}, {"subscription_success"})
        await connection.ask("join_channel", {"channel": "lobby"}, {"subscription_success"})


@pytest.mark.usefixtures("short_deadlines")
async def test_no_answer_in_time_is_a_lost_connection() -> None:
    async with connected(wait_for_close) as (connection, _):
        with pytest.raises(ConnectionLost, match="in time"):
            await connection.ask("ping", {}, {"pong"})


async def test_too_much_that_nobody_takes_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_connection, "MAX_KEPT_FRAMES", 10)

    async def script(peer: EdgePeer, socket: Socket) -> None:
        await peer.expect(socket, "ping")
        for offset in range(20):
            await socket.send_json(message(offset))
        await until_closed(socket)

    async with connected(script) as (connection, _):
        with pytest.raises(ConnectionLost, match="too much"):
            await connection.ask("ping", {}, {"pong"})


async def refuse_key(peer: EdgePeer, socket: Socket) -> None:
    frame = await peer.expect(socket, "connect")
    data = {"message": "Invalid API key", "error_type": "invalid_key", "code": 403}
    await socket.send_json({"type": "error", "id": frame["id"], "data": data})
    await socket.send_json(
        {"type": "disconnect", "data": {"reason": "Invalid API key", "code": 4000, "reconnect": False}}
    )
    await socket.close(code=4000)


async def test_a_refused_key_is_told_with_its_error_type() -> None:
    async with serving_edge(EdgePeer(refuse_key)) as url:
        with pytest.raises(ConnectionRefused, match="Invalid API key") as raised:
            await EdgeConnection.open(login(url))
    assert (raised.value.code, raised.value.error_type) == (4000, "invalid_key")
    assert "secret" not in str(raised.value)


async def test_an_edge_that_drains_says_when_to_come_back() -> None:
    async def script(_: EdgePeer, socket: Socket) -> None:
        data = {"reason": "draining", "code": 1001, "reconnect": True, "retry_after_ms": 740}
        await socket.send_json({"type": "disconnect", "data": data})
        await socket.close(code=1001)

    async with connected(script) as (connection, _):
        with pytest.raises(ConnectionLost, match="draining") as raised:
            await until_it_ends(connection)
    assert raised.value.retry_after_s == 0.74


@pytest.mark.parametrize(("code", "kind"), [(1001, ConnectionLost), (4001, ConnectionLost), (4003, ConnectionRefused)])
async def test_a_close_code_alone_decides_too(code: int, kind: type[Exception]) -> None:
    async def script(_: EdgePeer, socket: Socket) -> None:
        await socket.close(code=code)

    async with connected(script) as (connection, _):
        with pytest.raises(kind):
            await until_it_ends(connection)


async def test_a_connection_that_breaks_off_is_lost() -> None:
    async def script(peer: EdgePeer, socket: Socket) -> None:
        peer.break_off(socket)

    async with connected(script) as (connection, _):
        with pytest.raises(ConnectionLost, match="broke off"):
            await until_it_ends(connection)
        with pytest.raises(ConnectionLost):
            await connection.ask("ping", {}, {"pong"})


async def test_sending_on_a_connection_that_has_ended_tells_why_it_ended() -> None:
    async def script(_: EdgePeer, socket: Socket) -> None:
        data = {"reason": "API key revoked", "code": 4000, "reconnect": False}
        await socket.send_json({"type": "disconnect", "data": data})
        await socket.close(code=4000)

    async with connected(script) as (connection, _):
        with pytest.raises(ConnectionRefused, match="revoked"):
            await until_it_ends(connection, sending=True)


async def test_a_binary_message_is_no_frame() -> None:
    async def script(_: EdgePeer, socket: Socket) -> None:
        await socket.send_bytes(b"x")
        await until_closed(socket)

    async with connected(script) as (connection, _):
        with pytest.raises(ConnectionLost):
            await until_it_ends(connection)


async def test_text_that_is_no_frame_is_a_fault_of_the_server() -> None:
    async def script(_: EdgePeer, socket: Socket) -> None:
        await socket.send_str("hello")
        await until_closed(socket)

    async with connected(script) as (connection, _):
        with pytest.raises(ServerFault):
            await until_it_ends(connection)


async def test_an_address_where_nothing_listens() -> None:
    with unused_target() as target, pytest.raises(ConnectionLost, match="nothing can be reached at"):
        await EdgeConnection.open(login(f"http://{target}"))


async def test_a_certificate_that_is_not_trusted_is_told_as_that(tmp_path: Path) -> None:
    identity = Authority().identity(tmp_path)
    shown = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    shown.load_cert_chain(identity.cert, identity.key)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=shown)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        with pytest.raises(ConnectionRefused, match="no TLS connection to"):
            await EdgeConnection.open(login(url))
        with pytest.raises(ConnectionLost):  # It is trusted, and closes at once.
            await EdgeConnection.open(login(url), tls=ssl.create_default_context(cafile=str(identity.ca)))


@pytest.mark.usefixtures("short_deadlines")
async def test_an_address_that_does_not_answer() -> None:
    async with peers.serving_nothing() as url:
        with pytest.raises(ConnectionLost, match="no answer from"):
            await EdgeConnection.open(login(url))


@pytest.mark.parametrize("url", ["", "lobby", "http://", "http://[::1", "http://x:99999"])
async def test_what_is_no_address(url: str) -> None:
    with pytest.raises((InvalidRequest, ConnectionLost)):
        await EdgeConnection.open(login(url))


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, InvalidRequest, "client id"),
        (404, ConnectionRefused, "no edge"),
        (403, ConnectionRefused, "no edge"),
        (502, ConnectionLost, "no edge is ready"),
        (503, ConnectionLost, "no edge is ready"),
    ],
)
async def test_a_refused_upgrade(status: int, kind: type[Exception], words: str) -> None:
    async with peers.serving_status(status) as url:
        with pytest.raises(kind, match=f"(?i){words}"):
            await EdgeConnection.open(login(url))


async def test_closing_lets_what_was_sent_arrive() -> None:
    seen: list[str] = []
    done = asyncio.Event()

    async def script(_: EdgePeer, socket: Socket) -> None:
        async for received in socket:
            seen.append(received.json()["type"])
        assert socket.close_code == WSCloseCode.OK
        done.set()

    async with connected(script) as (connection, _):
        reading = asyncio.create_task(connection.receive())
        await asyncio.wait({reading}, timeout=0.05)
        for _ in range(3):
            reading.cancel()
            await connection.send("ack", {})
        await connection.close()
        await connection.close()
    async with asyncio.timeout(5):
        await done.wait()
    assert seen == ["ack"] * 3
