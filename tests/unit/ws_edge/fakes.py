"""Fakes of the ports of `ws_edge.core`: a world that a test moves by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ws_edge.core.connection import Connection
from ws_edge.core.gateway import Gateway
from ws_edge.core.limits import ConnectionLimits
from ws_edge.core.outbox import Ticker
from ws_edge.core.ports import (
    Answer,
    HistoryPage,
    Joined,
    KeyVerdict,
    Left,
    OnAnswer,
    Opened,
    Position,
    PresenceList,
    Published,
    ReceiptState,
    ServiceAway,
    SessionFacts,
)

EPOCH = "e1"


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic_s(self) -> float:
        return self.seconds


class FakeSink:
    """Takes all that is written; `stuck` makes it a peer that reads nothing."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.close_code: int | None = None
        self.stuck = False
        self.unsent = 0

    def write(self, data: bytes, bound: int) -> int:
        if self.unsent and self.unsent + len(data) > bound:
            return -1
        self._take(data)
        return self.unsent

    def close(self, last: bytes, code: int, reason: str) -> None:
        self._take(last)
        self.close_code = code

    def _take(self, data: bytes) -> None:
        assert self.close_code is None, "a data frame followed the close frame"
        self.written += data
        if self.stuck:
            self.unsent += len(data)

    def frames(self) -> list[dict[str, Any]]:
        """Decode and forget what was written."""
        found, data = [], bytes(self.written)
        while data:
            assert data[0] == 0x81
            size, start = data[1], 2
            if size == 126:
                size, start = int.from_bytes(data[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(data[2:10], "big"), 10
            found.append(json.loads(data[start : start + size]))
            data = data[start + size :]
        self.written.clear()
        return found


class FakeKeys:
    """Knows some keys; `known` decides if permissions are cached."""

    def __init__(self) -> None:
        self.verdicts: dict[str, KeyVerdict] = {"good": KeyVerdict("VALID", "k1")}
        self.denied: set[tuple[str, str]] = set()
        self.key = KeyVerdict("VALID", "k1")
        self.known = True
        self.addresses: list[str] = []
        self.away: ServiceAway | None = None
        self.before_answer: Callable[[], None] = lambda: None

    async def verify(self, api_key: str, domain: str, workspace: str, client_address: str) -> KeyVerdict:
        self.addresses.append(client_address)
        self.before_answer()
        if self.away is not None:
            raise self.away
        return self.verdicts.get(api_key, KeyVerdict("NOT_FOUND"))

    async def check(self, key_id: str, action: str, channel: str, domain: str, workspace: str) -> KeyVerdict:
        self.before_answer()
        if self.away is not None:
            raise self.away
        return self._decide(action, channel)

    def check_cached(self, key_id: str, action: str, channel: str, domain: str, workspace: str) -> KeyVerdict | None:
        return self._decide(action, channel) if self.known else None

    def _decide(self, action: str, channel: str) -> KeyVerdict:
        if not action:
            return self.key
        denied = (action, channel) in self.denied
        return KeyVerdict("INSUFFICIENT_PERMISSIONS" if denied else "VALID", "k1")


class FakeLink:
    """Notes every command; answers by itself unless `silent`."""

    def __init__(self) -> None:
        self.commands: list[tuple[Any, ...]] = []
        self.waiting: list[OnAnswer] = []
        self.silent = False
        self.answers: dict[str, Answer] = {
            "open": Opened(Position(EPOCH, 0), Position(EPOCH, 0), []),
            "join": Joined(Position(EPOCH, 5), False, None, []),
            "leave": Left(),
            "history": HistoryPage([], Position(EPOCH, 5), False, None),
            "presence": PresenceList([]),
            "receipt": ReceiptState(Position(EPOCH, 5), 2, 1),
        }

    def names(self) -> list[str]:
        return [command[0] for command in self.commands]

    def _answer(self, name: str, on_answer: OnAnswer) -> None:
        if self.silent:
            self.waiting.append(on_answer)
        else:
            on_answer(self.answers[name])

    async def open(self, who: SessionFacts, on_answer: OnAnswer, **since: Position | None) -> None:
        self.commands.append(("open", who, since))
        self._answer("open", on_answer)

    def close(self, number: int) -> None:
        self.commands.append(("close", number))

    def join(self, number: int, topic: str, on_answer: OnAnswer, **how: Any) -> None:
        self.commands.append(("join", number, topic, how))
        self._answer("join", on_answer)

    def leave(self, number: int, topic: str, on_answer: OnAnswer) -> None:
        self.commands.append(("leave", number, topic))
        self._answer("leave", on_answer)

    def publish(
        self, number: int, topic: str, kind: str, message_id: str, data: bytes, thread_id: str, on_answer: OnAnswer
    ) -> None:
        self.commands.append(("publish", number, topic, kind, message_id, data, thread_id))
        self.answers["publish"] = self.answers.get("publish") or Published(message_id, Position(EPOCH, 6))
        self._answer("publish", on_answer)

    def acknowledge(self, number: int, topic: str, position: Position) -> None:
        self.commands.append(("ack", number, topic, position))

    def read_history(self, number: int, topic: str, on_answer: OnAnswer, **how: Any) -> None:
        self.commands.append(("history", number, topic, how))
        self._answer("history", on_answer)

    def read_presence(self, number: int, topic: str, on_answer: OnAnswer) -> None:
        self.commands.append(("presence", number, topic))
        self._answer("presence", on_answer)

    def read_receipt(self, number: int, topic: str, offset: int, on_answer: OnAnswer) -> None:
        self.commands.append(("receipt", number, topic, offset))
        self._answer("receipt", on_answer)

    def resubscribe(self, topic: str, position: Position, numbers: list[int], presence: list[int]) -> None:
        self.commands.append(("resubscribe", topic, position, list(numbers), list(presence)))


class World:
    """A gateway in a world of fakes."""

    def __init__(
        self,
        *,
        limits: ConnectionLimits | None = None,
        max_connections: int = 10,
        call_soon: Ticker | None = None,
        keys: FakeKeys | None = None,
        make_gateway: Callable[..., Gateway] = Gateway,
    ) -> None:
        self.clock = FakeClock()
        self.keys = keys or FakeKeys()
        self.link = FakeLink()
        self.ticks: list[Callable[[], None]] = []
        self.defects: list[BaseException] = []
        self.closes: list[tuple[int, int, str]] = []
        self._ids = 0
        self.gateway = make_gateway(
            keys=self.keys,
            link=self.link,
            clock=self.clock,
            call_soon=call_soon or self.ticks.append,
            flush_soon=call_soon or self.ticks.append,
            random=lambda: 0.5,
            new_id=self._new_id,
            limits=limits or ConnectionLimits(),
            max_connections=max_connections,
            heartbeat_ms=25_000,
            on_defect=lambda connection, exc: self.defects.append(exc),
            on_close=lambda connection, code, reason: self.closes.append((connection.number, int(code), reason)),
        )

    def _new_id(self) -> str:
        self._ids += 1
        return f"id-{self._ids}"

    def tick(self) -> None:
        """End this turn of the event loop."""
        ticks, self.ticks[:] = list(self.ticks), []
        for callback in ticks:
            callback()

    def client(self, client_id: str = "alice", *, debug: bool = False, client_address: str = "") -> Client:
        return Client(self, client_id, debug=debug, client_address=client_address)

    async def authenticated(self, client_id: str = "alice", **how: Any) -> Client:
        client = self.client(client_id, **how)
        await client.connect()
        client.frames()
        return client

    async def member(self, channel: str = "room", client_id: str = "alice") -> Client:
        client = await self.authenticated(client_id)
        await client.send("join_channel", {"channel": channel})
        client.frames()
        return client


class Client:
    """One connection, as its peer sees it."""

    def __init__(self, world: World, client_id: str, *, debug: bool, client_address: str) -> None:
        self.world = world
        self.sink = FakeSink()
        self.connection: Connection = world.gateway.accept(
            client_id, self.sink, debug=debug, client_address=client_address
        )

    async def send_text(self, text: bytes) -> None:
        pending = self.world.gateway.receive(self.connection, text)
        if pending is not None:
            await pending

    async def send(self, frame_type: str, data: object = None, **fields: object) -> None:
        frame = {"type": frame_type, **fields}
        if data is not None:
            frame["data"] = data
        await self.send_text(json.dumps(frame).encode())

    async def connect(self, api_key: str = "good", **data: object) -> None:
        place = {"connection_type": "chat", "domain": "d", "workspace": "w"}
        await self.send("connect", {"api_key": api_key, **place, **data}, id="c1")

    def frames(self) -> list[dict[str, Any]]:
        self.world.tick()
        return self.sink.frames()

    def types(self) -> list[str]:
        return [frame["type"] for frame in self.frames()]

    def one(self) -> dict[str, Any]:
        frames = self.frames()
        assert len(frames) == 1, frames
        return frames[0]

    def assert_error(self, error_type: str, code: int, *, then: int | None = None) -> dict[str, Any]:
        """The last frames are this error and, if the connection ends, its `disconnect`."""
        frames = self.frames()
        if then is not None:
            last = frames.pop()
            assert last["type"] == "disconnect"
            assert last["data"]["code"] == then
        assert self.sink.close_code == then
        error = frames[-1]
        assert (error["type"], error["data"]["error_type"], error["data"]["code"]) == ("error", error_type, code)
        return error
