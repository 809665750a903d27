"""Publishers and subscribers that keep books: what was confirmed, and what was heard, message by message.

They know protocol.md only. A publisher repeats a message under the same `id` until it is confirmed, over as many connections as
that takes; a subscriber stays on one connection, and fails if that ends.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

TRY_AGAIN = {"unavailable", "timeout", "rate_limited"}
RECONNECT_S = 0.05


class Place(NamedTuple):
    """Where a message was stored, as its confirmation says."""

    epoch: str
    offset: int


@asynccontextmanager
async def connected(
    ws_url: str, client_id: str, api_key: str, workspace: str, channel: str | None
) -> AsyncIterator[ClientConnection]:
    """Connect, authenticate and (with a channel) join; raises ConnectionClosed or OSError when that fails."""
    async with connect(f"{ws_url}/client_{client_id}", proxy=None, max_size=None, max_queue=None) as socket:
        data = {"api_key": api_key, "connection_type": "chat", "domain": "tests", "workspace": workspace}
        await _asked(socket, {"type": "connect", "id": "connect", "data": data}, "message_delivered")
        if channel is not None:
            await _asked(
                socket, {"type": "join_channel", "id": "join", "data": {"channel": channel}}, "subscription_success"
            )
        yield socket


async def _asked(socket: ClientConnection, frame: dict[str, Any], answer: str) -> None:
    """Send a frame until its answer comes; while a service is away, again."""
    await socket.send(json.dumps(frame))
    while True:
        got = json.loads(await socket.recv())
        if got.get("id") != frame["id"]:
            continue
        if got["type"] == answer:
            return
        if got["type"] == "error":
            assert got["data"]["error_type"] in TRY_AGAIN, got
            await asyncio.sleep(got["data"].get("retry_after_ms", 50) / 1000)  # what the server asked for
            await socket.send(json.dumps(frame))


class Publisher:
    """Publishes numbered messages to one channel, at most `window` of them unconfirmed.

    Args:
        ws_url: The edge, or a balancer before several.
        client_id: Whose messages they are.
        channel: Where they go.
        count: How many.
    """

    def __init__(
        self, ws_url: str, client_id: str, api_key: str, workspace: str, channel: str, count: int, window: int = 20
    ) -> None:
        self.client_id = client_id
        self.channel = channel
        self.confirmed: dict[str, Place] = {}
        self.connections = 0
        self.repeats = 0
        self._where = (ws_url, client_id, api_key, workspace, channel)
        self._window = window
        self._made = 0
        self._waiting: list[str] = []
        self._flying: dict[str, None] = {}
        self.add(count)

    def add(self, count: int) -> None:
        """Take so many more messages to publish."""
        self._waiting += [f"{self.client_id}-{number}" for number in range(self._made, self._made + count)]
        self._made += count

    async def run(self) -> None:
        """Return when every message is confirmed."""
        while self._waiting or self._flying:
            try:
                async with connected(*self._where) as socket:
                    self.connections += 1
                    await self._publish_by(socket)
            except (ConnectionClosed, OSError, InvalidHandshake, TimeoutError):
                await asyncio.sleep(RECONNECT_S)  # as any client: not at once

    async def _publish_by(self, socket: ClientConnection) -> None:
        self.repeats += len(self._flying)
        for message_id in list(self._flying):
            await self._send(socket, message_id)
        while self._waiting or self._flying:
            while self._waiting and len(self._flying) < self._window:
                message_id = self._waiting.pop(0)
                self._flying[message_id] = None
                await self._send(socket, message_id)
            await self._take(socket, json.loads(await socket.recv()))

    async def _send(self, socket: ClientConnection, message_id: str) -> None:
        frame = {"type": "chat_message", "id": message_id, "channel": self.channel, "data": {"content": message_id}}
        await socket.send(json.dumps(frame))

    async def _take(self, socket: ClientConnection, frame: dict[str, Any]) -> None:
        message_id = frame.get("id", "")
        if message_id not in self._flying:
            return
        if frame["type"] == "message_delivered":
            assert frame["data"]["status"] == "success"
            self.confirmed[message_id] = Place(frame["data"]["epoch"], frame["data"]["offset"])
            del self._flying[message_id]
        elif frame["type"] == "error":
            assert frame["data"]["error_type"] in TRY_AGAIN, frame
            self.repeats += 1
            await self._send(socket, message_id)


class Subscriber:
    """A member of one channel that stays connected, and notes every message that it hears."""

    def __init__(self, ws_url: str, client_id: str, api_key: str, workspace: str, channel: str) -> None:
        self.channel = channel
        self.heard: list[tuple[Place, str]] = []
        self.joined = asyncio.Event()
        self._where = (ws_url, client_id, api_key, workspace, channel)
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async with connected(*self._where) as socket:
            self.joined.set()
            async for text in socket:
                frame = json.loads(text)
                if frame["type"] == "chat_message":
                    self.heard.append((Place(frame["epoch"], frame["offset"]), frame["id"]))

    @property
    def connected(self) -> bool:
        return not self._task.done()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def history(ws_url: str, client_id: str, api_key: str, workspace: str, channel: str) -> list[tuple[Place, str]]:
    """Return everything that is kept of a channel, by pages."""
    async with connected(ws_url, client_id, api_key, workspace, None) as socket:
        found: list[tuple[Place, str]] = []
        more, offset = True, 0
        while more:
            data = {"channel": channel, "since": {"offset": offset}, "limit": 1000}
            await socket.send(json.dumps({"type": "history", "id": "h", "data": data}))
            while (frame := json.loads(await socket.recv())).get("id") != "h":
                continue
            assert frame["type"] == "history", frame
            found += [(Place(m["epoch"], m["offset"]), m["id"]) for m in frame["data"]["messages"]]
            more = frame["data"]["more"]
            offset = found[-1][0].offset if found else 0
        return found
