"""One connection of a client: authenticates, joins everything, sends what is due, and takes what comes."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from websockets.asyncio.client import ClientConnection

from tests.ledger.outgoing import Requests
from tests.ledger.places import Place
from tests.ledger.wire import (
    MESSAGE,
    TRY_AGAIN,
    Frame,
    ack_frame,
    connect_frame,
    encode,
    join_frame,
    place_in,
)

if TYPE_CHECKING:
    from tests.ledger.client import LedgerClient

TICK_S: Final = 0.2
# Longer than every deadline of an edge: whoever hears nothing for so long was forgotten.
ANSWER_DEADLINE_S: Final = 30.0
# Shorter than the 10 s after which a server closes a connection that has not authenticated.
WELCOME_DEADLINE_S: Final = 8.0
RETRY_AFTER_MS: Final = 100
ACK_EVERY: Final = 16
RESERVED: Final = ("*", "@")
CONNECT: Final = "connect"
JOIN: Final = "join-"


class Connection:
    """From an open WebSocket to its end. `read` and `write` run side by side."""

    def __init__(self, client: LedgerClient, socket: ClientConnection) -> None:
        self.retry_after_s = 0.0
        self._client = client
        self._book = client.book
        self._socket = socket
        self._asked = Requests()
        self._welcome = False
        self._joined: set[str] = set()
        self._resumed = dict(client.positions) if client.book.way == "resume" else {}
        self._unacknowledged: dict[str, int] = dict.fromkeys(client.book.members, 0)
        self._opened_s = self.now_s()
        self._asked.add(connect_frame(CONNECT, client.account, self._resumed), self._opened_s)

    @staticmethod
    def now_s() -> float:
        return asyncio.get_running_loop().time()

    async def read(self) -> None:
        """Take frames until the connection ends; raises ConnectionClosed when it was not in order."""
        handlers = {
            MESSAGE: self._on_message,
            "message_delivered": self._on_delivered,
            "subscription_success": self._on_subscription,
            "connection_success": self._on_welcome,
            "error": self._on_error,
            "disconnect": self._on_disconnect,
        }
        async for text in self._socket:
            frame = json.loads(text)
            handler = handlers.get(frame["type"])
            if handler is not None:
                handler(frame)

    async def write(self) -> None:
        """Send what is due, tick by tick; end the connection when the server forgot an answer."""
        try:
            while True:
                now_s = self.now_s()
                self._client.publish(now_s)
                await self._send_due(now_s)
                await self._acknowledge()
                if not self._welcome and now_s > self._opened_s + WELCOME_DEADLINE_S:
                    break
                if self._forgotten(now_s - ANSWER_DEADLINE_S):
                    break
                await asyncio.sleep(TICK_S * self._client.rng.uniform(0.5, 1.0))
        finally:
            self._socket.transport.abort()

    async def _send_due(self, now_s: float) -> None:
        for request in self._asked.due(now_s, ()):
            await self._socket.send(encode(request.frame))
        if self._welcome:
            for request in self._client.messages.due(now_s, self._joined):
                self._book.repeats += request.sends > 1
                await self._socket.send(encode(request.frame))

    async def _acknowledge(self) -> None:
        for channel, count in self._unacknowledged.items():
            if count >= ACK_EVERY and channel in self._joined:
                self._unacknowledged[channel] = 0
                await self._socket.send(encode(ack_frame(channel, self._client.positions[channel])))

    def _forgotten(self, before_s: float) -> int:
        forgotten = len(self._asked.overdue(before_s)) + len(self._client.messages.overdue(before_s))
        self._book.unanswered += forgotten
        return forgotten

    def _on_welcome(self, _: Frame) -> None:
        self._asked.answered(CONNECT)
        self._welcome = True
        self._client.welcomed()
        for channel in self._book.members:
            if channel not in self._resumed:
                self._join(channel)

    def _join(self, channel: str) -> None:
        recover = self._client.positions.get(channel)
        self._asked.add(join_frame(JOIN + channel, channel, recover), self.now_s())

    def _on_subscription(self, frame: Frame) -> None:
        channel, at = frame["data"]["channel"], place_in(frame["data"])
        self._asked.answered(JOIN + channel)
        if channel.startswith(RESERVED):
            return  # news of broadcasts and the inbox, of which the ledger keeps no book
        member = self._book.members[channel]
        if not frame["data"]["recovered"]:
            member.not_recovered()
            self._book.surprises[f"not recovered: {frame['data'].get('reason')}"] += 1
            self._client.positions[channel] = Place(at.epoch, 0)
        elif channel not in self._client.positions:
            member.joined(at)
            self._client.positions[channel] = at
        self._joined.add(channel)
        self._book.connected = len(self._joined) == len(self._book.members)

    def _on_message(self, frame: Frame) -> None:
        channel = frame["channel"]
        if self._client.receive(channel, frame["id"], place_in(frame)):
            self._unacknowledged[channel] += 1

    def _on_delivered(self, frame: Frame) -> None:
        data = frame["data"]
        if data.get("original_type") == MESSAGE and data["status"] == "success":
            self._client.confirmed(data["id"], data["channel"], place_in(data), self.now_s())

    def _on_error(self, frame: Frame) -> None:
        data, frame_id = frame["data"], frame.get("id", "")
        if data["error_type"] not in TRY_AGAIN:
            self._book.surprises[f"error {data['error_type']}: {data['message']}"] += 1
            if frame_id in self._asked:
                self._socket.transport.abort()  # to ask the same again here would not help
                return
        again_s = self.now_s() + self._pause_s(data)
        if frame_id in self._asked:
            self._asked.repeat(frame_id, again_s)
        elif frame_id in self._client.messages:
            self._client.messages.repeat(frame_id, again_s)
        elif frame_id == CONNECT and (channel := frame.get("channel")) in self._resumed:
            del self._resumed[channel]
            self._join(channel)

    def _on_disconnect(self, frame: Frame) -> None:
        data = frame["data"]
        self.retry_after_s = data.get("retry_after_ms", 0) / 1000
        if not data["reconnect"]:
            self._book.surprises[f"disconnect {data['code']}: {data['reason']}"] += 1

    def _pause_s(self, data: dict[str, Any]) -> float:
        """What the server asked for, with jitter."""
        return float(data.get("retry_after_ms", RETRY_AFTER_MS)) / 1000 * self._client.rng.uniform(0.8, 1.2)
