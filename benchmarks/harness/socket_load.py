"""One process that holds many WebSocket connections to one edge, and notes when each is told what.

Tasks come as lines of JSON: `{"do": "open", "port": 8000, "keys": [...], "count": 5000, "channel": ""}` opens connections, the
keys in turn; `{"do": "wait", "for": "close", "deadline_s": 30}` answers with `[[key number, seconds of the monotonic clock of
this machine], ...]`; `{"do": "drop"}` lets all go. It speaks just as much of RFC 6455 as that takes, so that it is quick.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import json
import secrets
import struct
import sys
import time
from collections.abc import Sequence
from typing import Any, Final, cast

import uvloop

from tests.support.waiting import eventually

AT_ONCE: Final = 50
OPEN_DEADLINE_S: Final = 60.0
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
# What is waited for, by what a frame has in it.
MARKS: Final = {"unsubscribed": b'"unsubscription_success"', "joined": b'"subscription_success"'}


def client_frame(opcode: int, payload: bytes) -> bytes:
    """Return a frame of a client; its mask is zero, which leaves the payload as it is."""
    head = bytes([0x80 | opcode])
    if len(payload) < 126:
        return head + bytes([0x80 | len(payload)]) + bytes(4) + payload
    return head + b"\xfe" + struct.pack(">H", len(payload)) + bytes(4) + payload


class Client(asyncio.Protocol):
    """One connection.

    Args:
        number: Of its key.
        first: What it sends when it is upgraded.
    """

    def __init__(self, number: int, first: bytes) -> None:
        self.number = number
        self.seen_at: dict[str, float] = {}
        self.ready = asyncio.get_running_loop().create_future()
        self._first = first
        self._upgraded = False
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        # uvloop's transports are no subclass of it, and do the same.
        self._transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        self._transport.write(
            f"GET /client_{secrets.token_hex(8)} HTTP/1.1\r\nHost: benchmark\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take in what has come, frame by frame."""
        now_s = time.monotonic()
        self._buffer += data
        if not self._upgraded:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head:
                self._fail(head.decode(errors="replace"))
                return
            self._upgraded, self._buffer = True, rest
            self._transport.write(self._first)
        while (frame := self._next_frame()) is not None:
            self._take(*frame, now_s)

    def _next_frame(self) -> tuple[int, bytes] | None:
        data = self._buffer
        if len(data) < 2:
            return None
        size, start = data[1], 2
        if size >= 126:
            wide = 2 if size == 126 else 8
            if len(data) < 2 + wide:
                return None
            size, start = int.from_bytes(data[2 : 2 + wide], "big"), 2 + wide
        if len(data) < start + size:
            return None
        self._buffer = data[start + size :]
        return data[0] & 0x0F, data[start : start + size]

    def _take(self, opcode: int, payload: bytes, now_s: float) -> None:
        if opcode == PING:
            self._transport.write(client_frame(PONG, payload))
        elif opcode == CLOSE:
            self.seen_at.setdefault("close", now_s)
            self._transport.write(client_frame(CLOSE, payload[:2]))
        elif b'"connection_success"' in payload:
            if not self.ready.done():
                self.ready.set_result(None)
        elif b'"error"' in payload and not self.ready.done():
            self._refused(payload)
        else:
            for name, mark in MARKS.items():
                if mark in payload:
                    self.seen_at.setdefault(name, now_s)

    def _refused(self, payload: bytes) -> None:
        """Try again where the edge says that this may help: many connections at once are more than it has time for."""
        wait_ms = json.loads(payload)["data"].get("retry_after_ms")
        if wait_ms is None:
            self._fail(payload.decode())
        else:
            asyncio.get_running_loop().call_later(wait_ms / 1000, self._transport.write, self._first)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note an end without a close frame as a failure."""
        self._fail(f"the connection ended: {exc}")

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        self._transport.write(frame)

    def drop(self) -> None:
        """End it without a word."""
        self._transport.abort()

    def _fail(self, why: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(why))


def text(frame_type: str, data: dict[str, str]) -> bytes:
    """Return a frame of the protocol."""
    return client_frame(TEXT, json.dumps({"type": frame_type, "id": "f", "data": data}).encode())


class SocketLoad:
    """All connections of this process."""

    def __init__(self) -> None:
        self._clients: list[Client] = []

    async def open(self, port: int, keys: Sequence[str], count: int, channel: str) -> dict[str, float]:
        """Open connections, and have them join a channel if one is named."""
        began_s = time.monotonic()
        left = iter(range(count))

        async def work() -> None:
            for number in left:
                await self._open_one(port, number % len(keys), keys[number % len(keys)])

        await asyncio.gather(*[work() for _ in range(AT_ONCE)])
        if channel:
            for start in range(0, count, AT_ONCE):
                group = self._clients[start : start + AT_ONCE]
                for client in group:
                    client.send(text("join_channel", {"channel": channel}))
                await self._all_have("joined", group, OPEN_DEADLINE_S)
        return {"open": len(self._clients), "seconds": time.monotonic() - began_s}

    async def _open_one(self, port: int, number: int, key: str) -> None:
        place = {"connection_type": "chat", "domain": "benchmarks", "workspace": "w"}
        first = text("connect", {"api_key": key, **place})
        _, client = await asyncio.get_running_loop().create_connection(lambda: Client(number, first), "127.0.0.1", port)
        async with asyncio.timeout(OPEN_DEADLINE_S):
            await client.ready
        self._clients.append(client)

    async def wait(self, what: str, deadline_s: float) -> list[tuple[int, float]]:
        """Return when each was told; those that were not are left out."""
        await self._all_have(what, self._clients, deadline_s)
        return [(client.number, client.seen_at[what]) for client in self._clients if what in client.seen_at]

    async def _all_have(self, what: str, clients: Sequence[Client], deadline_s: float) -> None:
        async def told() -> bool:
            return all(what in client.seen_at for client in clients)

        with contextlib.suppress(AssertionError):
            await eventually(told, deadline_s)

    def drop(self) -> dict[str, int]:
        """Let all go."""
        for client in self._clients:
            client.drop()
        dropped = len(self._clients)
        self._clients.clear()
        return {"dropped": dropped}

    async def do(self, task: dict[str, Any]) -> Any:
        """Do one task, and return its answer."""
        kind = task.pop("do")
        if kind == "open":
            return await self.open(**task)
        return await self.wait(task["for"], task["deadline_s"]) if kind == "wait" else self.drop()


async def serve() -> None:
    """Answer lines of standard input until there are no more."""
    load = SocketLoad()
    while line := await asyncio.to_thread(sys.stdin.readline):
        sys.stdout.write(json.dumps(await load.do(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    gc.disable()  # what it holds is no garbage, and its own pauses are not what is measured
    uvloop.run(serve())
