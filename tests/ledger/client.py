"""One client: publishes, receives, loses its connection, comes back to any edge, and goes on where it was."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

from tests.ledger.books import ClientBook
from tests.ledger.connection import Connection
from tests.ledger.outgoing import Requests
from tests.ledger.places import Place
from tests.ledger.wire import Account, message_frame

FIRST_BACKOFF_S: Final = 0.05
MAX_BACKOFF_S: Final = 1.0
# A connection whose other end does not answer pings is over; without it a half-open one would never end.
PING_EVERY_S: Final = 2.0
PONG_DEADLINE_S: Final = 5.0
OPEN_DEADLINE_S: Final = 5.0
CLOSE_DEADLINE_S: Final = 1.0
WAYS: Final = ("resume", "recover")


@dataclass(frozen=True)
class Pace:
    """How a client publishes.

    Args:
        interval_s: Mean time between its messages.
        window: How many may be unconfirmed.
    """

    interval_s: float
    window: int


class LedgerClient:
    """Runs until it is cancelled.

    Args:
        book: Where everything is noted; also says the client's name and channels.
        urls: `ws://host:port` of the edges, all alike.
        account: What it authenticates with.
        way: How it comes back: `resume` of `connect`, or `join_channel` with `recover`.
        pace: How it publishes.
        rng: Chooses edges, channels and times.
    """

    def __init__(
        self, book: ClientBook, urls: Sequence[str], account: Account, way: str, pace: Pace, rng: random.Random
    ) -> None:
        self.book = book
        book.way = way
        self.account = account
        self.positions: dict[str, Place] = {}
        self.messages = Requests()
        self.publishing = False
        self.rng = rng
        self._urls = urls
        self._pace = pace
        self._channels = list(book.members)
        self._next_s = 0.0
        self._failures = 0
        self._retry_after_s = 0.0

    async def run(self) -> None:
        """Connect, and whenever that ends, connect again."""
        while True:
            try:
                await self._one_connection(f"{self.rng.choice(self._urls)}/client_{self.book.client_id}")
            except InvalidStatus as refused:
                self.book.surprises[f"HTTP {refused.response.status_code}"] += 1
            except (ConnectionClosed, OSError, InvalidHandshake, InvalidMessage, TimeoutError):
                pass
            finally:
                self.book.connected = False
            self._failures += 1
            await asyncio.sleep(self._backoff_s())

    async def _one_connection(self, url: str) -> None:
        async with connect(
            url,
            proxy=None,
            compression=None,
            max_size=None,
            max_queue=None,
            open_timeout=OPEN_DEADLINE_S,
            ping_interval=PING_EVERY_S,
            ping_timeout=PONG_DEADLINE_S,
            close_timeout=CLOSE_DEADLINE_S,
        ) as socket:
            await self._live(socket)

    async def _live(self, socket: ClientConnection) -> None:
        """Read and write until either ends, and end the other with it."""
        connection = Connection(self, socket)
        self.messages.repeat_all(connection.now_s())
        writing = asyncio.create_task(connection.write())
        try:
            await connection.read()
        finally:
            if socket.close_code is not None:
                self.book.closes[socket.close_code] += 1
            self._retry_after_s = connection.retry_after_s
            writing.cancel()
            (end,) = await asyncio.gather(writing, return_exceptions=True)
            if isinstance(end, Exception) and not isinstance(end, ConnectionClosed):
                raise end

    def _backoff_s(self) -> float:
        """Full jitter, exponential; never sooner than the server asked for."""
        asked_s, self._retry_after_s = self._retry_after_s, 0.0
        return asked_s + self.rng.uniform(0, min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(self._failures, 10)))

    def welcomed(self) -> None:
        """Note that the server let the client in."""
        self._failures = 0
        self.book.connections += 1

    def publish(self, now_s: float) -> None:
        """Make the messages for which it is time, as far as the window allows."""
        if not self.publishing:
            return
        if now_s - self._next_s > 10 * self._pace.interval_s:
            self._next_s = now_s + self.rng.uniform(0, self._pace.interval_s)
        while self._next_s <= now_s:
            self._next_s += self.rng.uniform(0.5, 1.5) * self._pace.interval_s
            if len(self.messages) < self._pace.window:
                self._make(now_s)

    def _make(self, now_s: float) -> None:
        self.book.published += 1
        self.book.unconfirmed += 1
        channel = self.rng.choice(self._channels)
        self.messages.add(message_frame(f"{self.book.client_id}-{self.book.published}", channel), now_s, channel)

    def confirmed(self, message_id: str, channel: str, place: Place, now_s: float) -> None:
        """Take the confirmation of a message."""
        request = self.messages.answered(message_id)
        if request is None:
            # A second answer to a repeated message: it must name the same place.
            self.book.members[channel].channel.confirm(message_id, place, self.book.client_id)
            return
        self.book.unconfirmed -= 1
        self.book.slowest_s = max(self.book.slowest_s, now_s - request.made_s)
        self.book.confirm(channel, message_id, place)

    def receive(self, channel: str, message_id: str, place: Place) -> bool:
        """Take a message, or drop it because its place is not after the last one; return if it was taken."""
        last = self.positions[channel]
        if place.epoch == last.epoch and place.offset <= last.offset:
            self.book.members[channel].drop(message_id, place)
            where = f"{self.book.client_id} in {channel}, connection {self.book.connections}"
            self.book.surprises[f"delivered again or late: {where}"] += 1
            return False
        self.positions[channel] = place
        self.book.members[channel].accept(message_id, place)
        return True
