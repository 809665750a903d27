"""Listens to channels over any number of connections: every message once, in order, across restarts of edges and services.

Each connection authenticates, joins every channel from where it stands (`channel_progress`), and reads until it ends. Then
the edge's `reconnect` decides if another one is made, and its `retry_after_ms`, or exponential backoff with full jitter,
says when.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from tidewire_client.channel_progress import ChannelProgress, Continuity
from tidewire_client.edge_connection import EdgeConnection, EdgeLogin
from tidewire_client.edge_frames import Frame
from tidewire_client.errors import CallerNotAllowed, ConnectionLost, ConnectionRefused
from tidewire_client.message import Position
from tidewire_client.retry import backoff_s

FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 10.0
STABLE_S: Final = 5.0
ACK_INTERVAL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Received:
    """A message of a channel."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Joined:
    """A channel is joined; also again after each interruption.

    Attributes:
        channel: Which.
        position: What comes is after this place; None while that is not known.
    """

    channel: str
    position: Position | None


@dataclass(frozen=True, slots=True)
class Lost:
    """Something of a channel is missing here, and cannot be had any more.

    Attributes:
        channel: Of which.
        reason: `history_expired`, `epoch_changed`, or another word of the edge.
        frame: Which says so.
    """

    channel: str
    reason: str
    frame: Frame


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The connection ended, and another one is made in `wait_s` seconds."""

    cause: str
    wait_s: float


Event = Received | Joined | Lost | Interrupted


class Listener:
    """Listens to channels: `async with Listener(...) as listener`, then `async for event in listener`, without an end.

    Broadcasts and direct messages are no part of it: only what its channels hold.

    Args:
        login: Where, and as whom.
        channels: One or more names.
        since: Places to begin after, by channel.
        last_acked: Begin after what this `client_id` acknowledged last, where `since` names no place.
        history: Else begin with the last so many messages of each channel: 0 to 1000.
        first_connection_s: How long to try to reach an edge before the first connection stands, in seconds. Afterwards
            there is no bound: a listener outlives every outage.
    """

    def __init__(
        self,
        login: EdgeLogin,
        *channels: str,
        since: Mapping[str, Position] | None = None,
        last_acked: bool = False,
        history: int = 0,
        first_connection_s: float = 10.0,
    ) -> None:
        self._login = login
        places = since or {}
        self._progress = {
            name: ChannelProgress(name, since=places.get(name), last_acked=last_acked, history=history)
            for name in channels
        }
        self._first_connection_s = first_connection_s
        self._events: deque[Event] = deque()
        self._connection: EdgeConnection | None = None
        self._connected_at: float | None = None
        self._give_up_at: float | None = None
        self._resume_at = 0.0
        self._failures = 0
        self._handled: dict[str, Position] = {}
        self._acked_at = float("-inf")

    async def __aenter__(self) -> Self:
        self._give_up_at = _now() + self._first_connection_s
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return what happens next; safe to cancel.

        Raises:
            ConnectionRefused: The edge says not to come back: a wrong or revoked key, for instance.
            CallerNotAllowed: The key does not allow a channel, or no longer.
            InvalidRequest: A channel, the client id or the address cannot be right.
            ConnectionLost: No edge could be reached in `first_connection_s`.
        """
        while not self._events:
            try:
                if self._connection is None:
                    await self._connect()
                else:
                    self._take(await self._frame(self._connection))
            except ConnectionLost as lost:
                await self._interrupted(lost)
        return self._events.popleft()

    async def close(self) -> None:
        """Tell the edge what is acknowledged, and close the connection. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            await self._acknowledge(connection)
        except (ConnectionLost, ConnectionRefused):
            pass  # What the edge was not told of, it delivers again.
        await connection.close()

    def acknowledge(self, received: Received) -> None:
        """Acknowledge a message and all before it; the edge is told soon, and at `close`.

        Acknowledging moves the receipt, and the place where `last_acked` begins.
        """
        if received.frame.position is not None:
            self._handled[received.frame.channel] = received.frame.position

    async def _connect(self) -> None:
        await asyncio.sleep(max(0.0, self._resume_at - _now()))
        connection = self._connection = await EdgeConnection.open(self._login)
        self._connected_at = _now()
        for progress in self._progress.values():
            answer = await connection.ask("join_channel", progress.join_data(), {"subscription_success"})
            reason = progress.joined(answer)
            if progress.unsettled:
                # What follows a join is there when the answer to a later frame is.
                await connection.ask("ping", {}, {"pong"})
                progress.settle(past_follows=connection.has_message(progress.channel))
            self._events.append(Joined(progress.channel, progress.position))
            if reason is not None:
                self._events.append(Lost(progress.channel, reason, answer))
        self._give_up_at = None

    async def _interrupted(self, lost: ConnectionLost) -> None:
        stable = self._connected_at is not None and _now() - self._connected_at > STABLE_S
        self._connected_at = None
        self._failures = 1 if stable else self._failures + 1
        backoff = backoff_s(self._failures - 1, first_s=FIRST_WAIT_S, longest_s=LONGEST_WAIT_S)
        wait_s = max(lost.retry_after_s or 0.0, backoff)
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        self._resume_at = _now() + wait_s
        if self._give_up_at is not None and self._resume_at > self._give_up_at:
            raise lost
        self._events.append(Interrupted(str(lost), wait_s))

    def _take(self, frame: Frame) -> None:
        progress = self._progress.get(frame.channel)
        if progress is None:
            return
        if frame.is_message:
            continuity = progress.take(frame)
            if continuity is Continuity.GAP:
                raise ConnectionLost(f"a message of {frame.channel} is missing: asking for it again")
            if continuity is Continuity.NEXT:
                self._failures = 0
                self._events.append(Received(frame))
        elif frame.type == "subscription_success":
            reason = progress.moved(frame)
            if reason is not None:
                self._events.append(Lost(frame.channel, reason, frame))
        elif frame.type == "unsubscription_success":
            raise CallerNotAllowed(f"the key no longer allows {frame.channel}", reason="permission_denied")

    async def _frame(self, connection: EdgeConnection) -> Frame:
        """Return the next frame; meanwhile the edge is told what is acknowledged, not more often than it is worth."""
        while self._handled:
            left_s = self._acked_at + ACK_INTERVAL_S - _now()
            if left_s <= 0:
                await self._acknowledge(connection)
                break
            try:
                async with asyncio.timeout(left_s):
                    return await connection.receive()
            except TimeoutError:
                continue
        return await connection.receive()

    async def _acknowledge(self, connection: EdgeConnection) -> None:
        for channel, place in list(self._handled.items()):
            await connection.send("ack", {"channel": channel, "epoch": place.epoch, "offset": place.offset})
            self._handled.pop(channel, None)
        self._acked_at = _now()


def _now() -> float:
    return asyncio.get_running_loop().time()
