"""A client's WebSocket over real sockets: the order of everything that is written, the bound, the close, and the descriptor."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop

from service_runtime.tls_files import TlsFiles
from service_runtime.tls_http import reloading_context
from tests.support.authority import Authority
from tests.support.waiting import eventually
from tests.support.websocket_frames import client_frame, read_frame
from tests.unit.ws_edge.fakes import FakeKeys, World
from ws_edge.adapters.client_socket import MAX_HELD_BYTES, ClientSocket, SocketParts
from ws_edge.adapters.heartbeats import Heartbeats
from ws_edge.adapters.lingering_close import LingeringCloses
from ws_edge.core import websocket_reader as ws
from ws_edge.core.close_codes import CloseCode
from ws_edge.core.connection import Connection
from ws_edge.core.limits import ConnectionLimits
from ws_edge.core.ports import KeyVerdict
from ws_edge.core.websocket_frame import PING_FRAME, text_frame

DEADLINE_S = 30.0
FREE = ConnectionLimits(frames_per_second=0, bytes_per_second=0)
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Both event loops."""

    async def in_time(body: Coroutine[Any, Any, None]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await body

    return lambda body: request.param(in_time(body))


class Pair:
    """A client socket of the edge and its peer."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.socket: ClientSocket
        self.connection: Connection
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter
        self.ready = asyncio.Event()

    def taken(self, transport: asyncio.Transport, parts: SocketParts) -> None:
        self.socket = ClientSocket(parts, transport)
        self.connection = self.world.gateway.accept("alice", self.socket, debug=False)
        self.socket.start(self.connection, b"")
        self.ready.set()

    @property
    def peer(self) -> asyncio.Transport:
        transport: Any = self.writer.transport
        return cast(asyncio.Transport, transport)

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def frame(self) -> dict[str, Any]:
        opcode, payload = await read_frame(self.reader)
        assert opcode == ws.TEXT
        return dict(json.loads(payload))

    async def authenticate(self) -> None:
        assert (await self.frame())["type"] == "connection_established"
        self.send(connect())
        assert [(await self.frame())["type"] for _ in range(2)] == ["connection_success", "message_delivered"]


class Accepting(asyncio.Protocol):
    """Hands its transport over, as the upgrade does."""

    def __init__(self, taken: Callable[[asyncio.Transport], None]) -> None:
        self._taken = taken

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._taken(transport)  # type: ignore[arg-type]  # uvloop's is no subclass of asyncio's


@contextlib.asynccontextmanager
async def pair(
    limits: ConnectionLimits = FREE,
    keys: FakeKeys | None = None,
    *,
    files: TlsFiles | None = None,
    ca: Path | None = None,
) -> AsyncIterator[Pair]:
    loop = asyncio.get_running_loop()
    world = World(limits=limits, call_soon=loop.call_soon, keys=keys)
    made, closes = Pair(world), LingeringCloses()
    parts = SocketParts(world.gateway, Heartbeats(25.0), closes, max_frame_bytes=65_536, auth_timeout_s=60.0)
    server = await loop.create_server(
        lambda: Accepting(lambda transport: made.taken(transport, parts)),
        "127.0.0.1",
        0,
        ssl=reloading_context(files) if files else None,
    )
    trusted = ssl.create_default_context(cafile=str(ca)) if ca else None
    async with server:
        made.reader, made.writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=trusted)
        await made.ready.wait()
        try:
            yield made
        finally:
            made.writer.close()
            await until(lambda: not len(world.gateway.registry))
            await closes.wait(DEADLINE_S)
            assert world.defects == []


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until a condition holds; the deadline is that of the test."""

    async def holds() -> bool:
        return condition()

    await eventually(holds, DEADLINE_S)


def connect() -> bytes:
    data = {"api_key": "good", "connection_type": "chat", "domain": "d", "workspace": "w"}
    return client_frame(ws.TEXT, json.dumps({"type": "connect", "data": data}).encode())


def ask(number: int, pad: int = 0) -> bytes:
    return client_frame(ws.TEXT, json.dumps({"type": "ping", "data": {"n": number, "pad": "x" * pad}}).encode())


def test_all_arrives_in_order_when_the_peer_reads_late(run: Run) -> None:
    """Far more than the kernel takes: the descriptor first, then the transport, then the descriptor again."""

    async def body() -> None:
        async with pair(ConnectionLimits(max_outbox_bytes=1 << 30)) as peers:
            await peers.authenticate()
            direct = []
            for number in range(2000):
                peers.connection.outbox.put(text_frame(number.to_bytes(4, "big") + b"x" * 10_000))
                peers.connection.outbox.flush()
                direct.append(peers.socket._direct)
            assert (direct[0], direct[-1]) == (True, False)
            for number in range(2000):
                assert int.from_bytes((await read_frame(peers.reader))[1][:4], "big") == number
            peers.send(ask(1))
            assert (await peers.frame())["data"]["n"] == 1
            assert peers.socket._direct

    run(body())


def test_control_frames_stand_where_they_belong_between_messages(run: Run) -> None:
    async def body() -> None:
        async with pair() as peers:
            await peers.authenticate()
            for number in range(300):
                peers.send(ask(number, pad=number), client_frame(ws.PING, b"%d" % number), client_frame(ws.PONG))
            for number in range(300):
                assert (await peers.frame())["data"]["n"] == number
                assert await read_frame(peers.reader) == (ws.PONG, b"%d" % number)
            peers.socket.ping(PING_FRAME)
            peers.send(ask(300))
            assert await read_frame(peers.reader) == (ws.PING, b"")
            assert (await peers.frame())["data"]["n"] == 300

    run(body())


def test_a_close_of_the_peer_is_answered_behind_all_that_waits(run: Run) -> None:
    async def body() -> None:
        async with pair() as peers:
            await peers.authenticate()
            peers.send(ask(1), client_frame(ws.CLOSE, b"\x03\xe8"), ask(2))
            assert (await peers.frame())["data"]["n"] == 1
            assert await read_frame(peers.reader) == (ws.CLOSE, b"\x03\xe8")
            assert await peers.reader.read() == b""

    run(body())


def test_nothing_follows_the_close_frame_of_the_edge(run: Run) -> None:
    async def body() -> None:
        async with pair() as peers:
            await peers.authenticate()
            peers.send(ask(1))
            assert (await peers.frame())["type"] == "pong"
            peers.connection.outbox.put(text_frame(b'{"type": "last"}'))
            peers.world.gateway.close(peers.connection, CloseCode.GOING_AWAY, "bye")
            peers.connection.outbox.put(text_frame(b"late"))
            peers.send(ask(2))
            assert [(await peers.frame())["type"] for _ in range(2)] == ["last", "disconnect"]
            assert await read_frame(peers.reader) == (ws.CLOSE, b"\x03\xe9bye")
            assert await peers.reader.read() == b""

    run(body())


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (client_frame(ws.TEXT, b"x" * 65_537), 1009),
        (client_frame(ws.BINARY, b"x"), 4002),
        (client_frame(0x3, b"x"), 4002),
        (client_frame(ws.CLOSE, b"\x00\x00"), 4002),
    ],
    ids=["too big", "binary", "malformed", "malformed close"],
)
def test_who_breaks_the_rules_is_told(run: Run, frames: bytes, code: int) -> None:
    async def body() -> None:
        async with pair() as peers:
            await peers.authenticate()
            peers.send(frames)
            while (found := await read_frame(peers.reader))[0] == ws.TEXT:
                last = json.loads(found[1])
            assert (last["type"], last["data"]["code"]) == ("disconnect", code)
            assert int.from_bytes(found[1][:2], "big") == code

    run(body())


def test_who_does_not_read_is_let_go(run: Run) -> None:
    async def body() -> None:
        async with pair(ConnectionLimits(max_outbox_bytes=100_000)) as peers:
            await peers.authenticate()
            peers.peer.pause_reading()
            sent = 0
            while not peers.connection.closed:
                peers.connection.outbox.put(text_frame(sent.to_bytes(4, "big") + b"x" * 20_000))
                peers.connection.outbox.flush()
                sent += 1
                await asyncio.sleep(0)
            peers.peer.resume_reading()
            for number in range(sent - 1):
                assert int.from_bytes((await read_frame(peers.reader))[1][:4], "big") == number
            assert (await peers.frame())["data"]["code"] == 1013
            assert (await read_frame(peers.reader))[1][:2] == b"\x03\xf5"
            assert peers.world.gateway.stats.slow_consumers == 1

    run(body())


def test_who_asks_to_close_and_does_not_read_is_let_go_too(run: Run) -> None:
    async def body() -> None:
        async with pair(ConnectionLimits(max_outbox_bytes=100_000)) as peers:
            await peers.authenticate()
            peers.peer.pause_reading()
            big = text_frame(b"x" * 90_000)
            while not (unsent := peers.socket._transport.get_write_buffer_size()):
                peers.connection.outbox.put(big)
                peers.connection.outbox.flush()
            assert unsent < 100_000
            peers.connection.outbox.put(text_frame(b"y" * 100_000))
            peers.socket.data_received(client_frame(ws.CLOSE))
            assert peers.world.gateway.stats.slow_consumers == 1
            peers.writer.transport.abort()

    run(body())


def test_a_descriptor_that_belongs_to_another_connection_is_not_written_to(run: Run) -> None:
    async def body() -> None:
        async with pair() as peers:
            await peers.authenticate()
            peers.send(ask(1))
            assert (await peers.frame())["type"] == "pong"
            assert peers.socket._direct
            number = peers.socket._descriptor
            peers.writer.close()
            await until(lambda: peers.connection.closed)
            await until(lambda: not is_open(number))
            with contextlib.ExitStack() as stack:
                ends = [stack.enter_context(end) for end in socket.socketpair()]
                if number not in [end.fileno() for end in ends]:
                    os.dup2(ends[0].fileno(), number)
                    stack.callback(os.close, number)
                assert peers.socket.write(b"not for you", 100) == 0
                peers.connection.outbox.put(b"nor this")
                peers.connection.outbox.flush()
                for end in ends:
                    end.setblocking(False)
                    with pytest.raises(BlockingIOError):
                        end.recv(100)

    run(body())


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_over_tls_the_transport_writes(run: Run, tmp_path: Path) -> None:
    identity = Authority().identity(tmp_path)

    async def body() -> None:
        async with pair(files=TlsFiles(cert=identity.cert, key=identity.key), ca=identity.ca) as peers:
            await peers.authenticate()
            for number in range(50):
                peers.send(ask(number, pad=5000))
                assert (await peers.frame())["data"]["n"] == number
            assert not peers.socket._direct
            peers.world.gateway.close(peers.connection, CloseCode.GOING_AWAY, "bye")
            assert (await peers.frame())["type"] == "disconnect"
            assert await read_frame(peers.reader) == (ws.CLOSE, b"\x03\xe9bye")

    run(body())


class SlowKeys(FakeKeys):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def verify(self, api_key: str, domain: str, workspace: str, client_address: str) -> KeyVerdict:
        self.asked.set()
        await self.go.wait()
        return await super().verify(api_key, domain, workspace, client_address)


def test_what_comes_while_an_earlier_message_is_worked_on_waits_for_its_turn(run: Run) -> None:
    async def body() -> None:
        keys = SlowKeys()
        async with pair(keys=keys) as peers:
            await peers.frame()
            count = 3 * MAX_HELD_BYTES // 1000
            peers.send(connect(), *(ask(number, pad=1000) for number in range(count)))
            await keys.asked.wait()
            await until(lambda: peers.socket._reader.unread > MAX_HELD_BYTES)
            peers.socket.heard = False
            peers.socket.drop()  # nobody listens to it now: its pong may be among what waits
            keys.go.set()
            assert [(await peers.frame())["type"] for _ in range(2)] == ["connection_success", "message_delivered"]
            for number in range(count):
                assert (await peers.frame())["data"]["n"] == number

    run(body())


def test_a_peer_that_goes_while_its_message_is_worked_on(run: Run) -> None:
    async def body() -> None:
        keys = SlowKeys()
        async with pair(keys=keys) as peers:
            await peers.frame()
            peers.send(connect(), ask(1))
            await keys.asked.wait()
            peers.writer.transport.abort()
            await until(lambda: peers.connection.closed)
            busy = peers.socket._busy
            assert busy is not None
            keys.go.set()
            await busy

    run(body())


def test_who_does_not_answer_is_dropped(run: Run) -> None:
    async def body() -> None:
        async with pair() as peers:
            await peers.authenticate()
            peers.socket.drop()
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await read_frame(peers.reader)

    run(body())
