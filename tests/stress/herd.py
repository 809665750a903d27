"""A herd: thousands of clients that lose their edge at once, go to another, and go on where they were.

Each keeps its place in one channel, and books: what it is given must be the next message, each once. It comes back as
clients do: after a short time by chance, longer the more often it fails, and as the edge asks where it asks.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence

from tests.stress.raw_client import RawClient, ServerFrame

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 4.0


class HerdClient:
    """One client, over all its connections.

    Attributes:
        place: Epoch and offset of the newest message that it has.
        back_s: When it was last a member, on the monotonic clock; None: it is not.
    """

    def __init__(self, herd: Herd, client_id: str, channel: str) -> None:
        self.client_id = client_id
        self.channel = channel
        self.place: tuple[str, int] | None = None
        self.back_s: float | None = None
        self._herd = herd
        self._failures = 0
        self._wait_s = 0.0
        self._connection: RawClient | None = None
        self._authenticated = False
        self._task: asyncio.Task[None] | None = None

    def come(self) -> None:
        """Begin to connect."""
        self._task = asyncio.get_running_loop().create_task(self._try())

    async def _try(self) -> None:
        while True:
            wait_s, self._wait_s = self._wait_s, 0.0
            backoff_s = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2**self._failures)
            await asyncio.sleep(wait_s + self._herd.rng.uniform(0, backoff_s))
            self._failures += 1
            try:
                async with self._herd.dialling:
                    await RawClient.open(self._herd.address, self.client_id, self._on_frame, self._on_end)
            except (OSError, TimeoutError) as problem:
                self._herd.failures[type(problem).__name__] += 1
            else:
                return

    def _on_end(self, client: RawClient) -> None:
        self.back_s = None
        self._connection = None
        self._herd.connections.discard(client)
        if client.upgraded.done() and client.upgraded.exception() is None and self._herd.open:
            self.come()

    def _on_frame(self, client: RawClient, frame: ServerFrame) -> None:
        kind = frame.type
        if kind == "chat_message":
            self._take(frame)
        elif kind == "connection_established":
            self._herd.connections.add(client)
            self._connection = client
            self._authenticated = False
            self._ask(client)
        elif kind == "connection_success":
            self._authenticated = True
            if self.place is None:
                self._ask(client)
        elif kind == "subscription_success":
            self._subscribed(frame)
        elif kind == "error":
            self._herd.errors[frame.data["error_type"]] += 1
            again_s = frame.data.get("retry_after_ms", 1000) / 1000
            asyncio.get_running_loop().call_later(again_s, self._ask, client)
        elif kind == "disconnect":
            self._wait_s = frame.data.get("retry_after_ms", 0) / 1000

    def _ask(self, client: RawClient) -> None:
        """Ask for what is missing: to be let in, where there is a place with `resume`; or to be a member."""
        if client.ended:
            return
        place = None if self.place is None else {"epoch": self.place[0], "offset": self.place[1]}
        if self._authenticated:
            client.send("join_channel", {"channel": self.channel, **({"recover": place} if place else {})}, id="join")
        else:
            more = {"resume": [{"channel": self.channel, **place}]} if place else {}
            client.connect(self._herd.api_key, self._herd.workspace, **more)

    def _subscribed(self, frame: ServerFrame) -> None:
        if self.place is None:
            self.place = (frame.data["epoch"], frame.data["offset"])
        elif not frame.data["recovered"]:
            self._herd.faults[f"not recovered: {frame.data.get('reason')}"] += 1
        self.back_s = time.monotonic()
        self._failures = 0

    def _take(self, frame: ServerFrame) -> None:
        assert self.place is not None
        expected = (self.place[0], self.place[1] + 1)
        if (frame.epoch, frame.offset) != expected:
            self._herd.faults["not the next message"] += 1
        self.place = (frame.epoch, frame.offset)
        self._herd.newest_s = time.monotonic()

    def lose(self) -> bool:
        """Lose the connection, and come back by itself; say if there was one."""
        if self.back_s is None or self._connection is None:
            return False
        self._connection.drop()
        return True

    def end(self) -> None:
        """Try no more."""
        if self._task is not None:
            self._task.cancel()


class Herd:
    """All clients.

    Attributes:
        address: Of the edge that they go to from now on.
        failures: Connections that did not come about, by exception.
        errors: What the edge refused, by type.
        faults: What must not be.
        newest_s: When the last message came to any, on the monotonic clock.
    """

    def __init__(self, address: str, api_key: str, workspace: str, channels: Sequence[str], size: int) -> None:
        self.address = address
        self.api_key = api_key
        self.workspace = workspace
        self.rng = random.Random(8)
        self.open = True
        self.failures: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.newest_s = 0.0
        self.connections: set[RawClient] = set()
        # SYNs that the kernel has no room for are sent again after a second: a client machine dials not everybody at once.
        self.dialling = asyncio.Semaphore(256)
        self.clients = [HerdClient(self, f"herd-{n}", channels[n % len(channels)]) for n in range(size)]

    def come(self) -> None:
        """Have all of them connect."""
        for client in self.clients:
            client.come()

    @property
    def members(self) -> int:
        """How many are members of their channel now."""
        return sum(client.back_s is not None for client in self.clients)

    def behind(self, heads: dict[str, int]) -> int:
        """Return how many are no members, or lack messages up to the heads of their channels."""
        return sum(
            client.back_s is None or client.place is None or client.place[1] < heads[client.channel]
            for client in self.clients
        )

    def end(self) -> None:
        """Let all go."""
        self.open = False
        for client in self.clients:
            client.end()
        for connection in list(self.connections):
            connection.drop()
