"""A trivial server that sends what a publisher sends to every member, and can be told to do it wrong."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection, serve

from benchmarks.load.plan import Client, Expect, Frame, body, message_id

Sender = Callable[["Hub", bytes], Awaitable[None]]


class Hub:
    """Members, and what becomes of each message.

    Args:
        send: Called with each message; sends it to the members.
        confirm: Called with the id of each message; returns the answers to its sender.
    """

    def __init__(self, send: Sender, confirm: Callable[[str], list[str]]) -> None:
        self.members: list[ServerConnection] = []
        self.strangers: list[ServerConnection] = []
        self.taken = 0
        self.held: list[bytes] = []
        self.port = 0
        self._send = send
        self._confirm = confirm

    async def handle(self, socket: ServerConnection) -> None:
        """Serve one client."""
        role = await socket.recv()
        if role == "refuse":
            await socket.send("no entry")
            await socket.close(4000)
            return
        if role == "ping":
            await (await socket.ping())
        {"member": self.members, "stranger": self.strangers}.get(str(role), []).append(socket)
        await socket.send("welcome")
        async for text in socket:
            self.taken += 1
            await self._send(self, str(text).encode())
            found = re.search("@id@[0-9a-f]{12}", str(text))
            for answer in self._confirm(found[0] if found else ""):
                await socket.send(answer)

    def client(self, role: str, *, joined: bool = False) -> Client:
        """Return a client of this server."""
        return Client(self.port, "/", (Frame.text(role), Expect(b"welcome")), joined=joined)


async def to_all(hub: Hub, message: bytes) -> None:
    """Send as it should be."""
    for member in hub.members:
        await member.send(message.decode())


@asynccontextmanager
async def running(
    send: Sender = to_all, confirm: Callable[[str], list[str]] = lambda name: [f"stored {name}"]
) -> AsyncIterator[Hub]:
    """Run a server."""
    hub = Hub(send, confirm)
    async with serve(hub.handle, "127.0.0.1", 0, compression=None) as server:
        hub.port = next(iter(server.sockets)).getsockname()[1]
        yield hub


def message(size: int = 100) -> Frame:
    """Return what a publisher sends: the id first, then the numbered text."""
    return Frame.text(f"{message_id()} {body(size)}")
