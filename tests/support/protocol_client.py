"""A client of the wire protocol, written from protocol.md alone, on a library that the project does not use.

Every frame that comes is checked: it is one text message, one JSON object in the server's envelope, and what the contracts
say of its type. Tests then speak in the words of the page: `expect`, `expect_error`, `expect_goodbye(4000)`.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections import deque
from contextlib import AsyncExitStack
from typing import Any, ClassVar

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.frame_catalogue import CLOSE_CODES, ERRORS, MESSAGE_TYPES, check_server_frame
from tests.support.target import Target

Frame = dict[str, Any]
RECEIVE_DEADLINE_S = 30.0
RFC3339_UTC_MS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
FROM_OTHERS = {*MESSAGE_TYPES, "direct_message", "broadcast", "presence_update"}
KEY = object()


class Observed:
    """Every row of the tables that some client of this test run has seen, each with the endpoint it was seen on."""

    sent: ClassVar[set[tuple[str, str]]] = set()
    frames: ClassVar[set[tuple[str, str]]] = set()
    errors: ClassVar[set[tuple[str, str, int]]] = set()
    close_codes: ClassVar[set[tuple[str, int]]] = set()


class Closed(AssertionError):
    """The connection ended while a frame was awaited."""


class ProtocolClient:
    """One connection.

    Args:
        socket: The open WebSocket.
        client_id: From the URL.
        target: Where it leads.
        debug: By the debug endpoint.
    """

    def __init__(self, socket: ClientConnection, client_id: str, target: Target, *, debug: bool) -> None:
        self.socket = socket
        self.client_id = client_id
        self.target = target
        self.debug = debug
        self._aside: deque[Frame] = deque()

    @property
    def endpoint(self) -> str:
        return "debug" if self.debug else "client"

    @classmethod
    async def open(
        cls, target: Target, client_id: str | None = None, *, debug: bool = False, established: bool = True, **more: Any
    ) -> ProtocolClient:
        """Connect, and read `connection_established`."""
        client_id = client_id or new_name("client")
        path = f"/debug/client_{client_id}" if debug else f"/client_{client_id}"
        options = {"max_size": None, "proxy": None, "close_timeout": 5, "open_timeout": RECEIVE_DEADLINE_S, **more}
        client = cls(await connect(target.ws_url + path, **options), client_id, target, debug=debug)
        if established:
            await client.expect("connection_established", message="Connection established, waiting for authentication")
        return client

    # What goes out.

    async def send_text(self, text: str | bytes) -> None:
        """Send one message as it is: text, or with `bytes` binary."""
        await self.socket.send(text)

    async def send_frame(self, frame: Frame) -> None:
        await self.socket.send(json.dumps(frame))

    async def send(self, frame_type: str, data: Any = None, **envelope: Any) -> str:
        """Send a frame with an id, which is returned; `data=None` leaves it out, `id=None` too."""
        frame: Frame = {"type": frame_type, "id": new_name("f"), **envelope}
        if data is not None:
            frame["data"] = data
        Observed.sent.add((self.endpoint, frame_type))
        await self.send_frame({name: value for name, value in frame.items() if value is not None})
        return frame["id"]

    # What comes in.

    async def receive(self, deadline_s: float = RECEIVE_DEADLINE_S) -> Frame:
        """Return the next frame, checked."""
        return self._aside.popleft() if self._aside else await self._next(deadline_s)

    async def _next(self, deadline_s: float) -> Frame:
        try:
            async with asyncio.timeout(deadline_s):
                text = await self.socket.recv()
        except TimeoutError:
            aside = f"; kept aside: {list(self._aside)}" if self._aside else ""
            raise AssertionError(f"{self.client_id}: no frame within {deadline_s} s{aside}") from None
        except ConnectionClosed as closed:
            raise Closed(f"{self.client_id}: closed while a frame was awaited: {closed}") from None
        assert isinstance(text, str), "the server sends text only"
        frame = json.loads(text)
        self._check(frame)
        return frame

    def _check(self, frame: Frame) -> None:
        assert isinstance(frame, dict)
        assert isinstance(frame["type"], str)
        assert "data" in frame
        assert isinstance(frame["data"], dict) or frame["type"] == "pong" or self.debug
        assert RFC3339_UTC_MS.fullmatch(frame["timestamp"]), frame
        if frame["type"] not in FROM_OTHERS:
            assert frame["client_id"] == self.client_id, frame
        check_server_frame(frame, debug=self.debug)
        Observed.frames.add((self.endpoint, frame["type"]))

    async def expect(
        self, frame_type: str, *, frame_id: str | None = None, channel: str | None = None, **data: Any
    ) -> Frame:
        """Return the next frame, which must be of this type, with this id and channel (when given) and these data."""
        return assert_frame(await self.receive(), frame_type, frame_id=frame_id, channel=channel, **data)

    async def take(self, frame_type: str, *, frame_id: str | None = None, **data: Any) -> Frame:
        """Return the first frame that fits; others that come before it are kept for later, in order."""
        waiting = list(self._aside)
        self._aside.clear()
        while True:
            frame = waiting.pop(0) if waiting else await self._next(RECEIVE_DEADLINE_S)
            if _fits(frame, frame_type, frame_id, data):
                self._aside.extend(waiting)
                return frame
            self._aside.append(frame)

    async def expect_error(
        self, error_type: str, code: int, *, frame_id: str | None = None, message: str | None = None
    ) -> Frame:
        """Return the next frame, which must be this `error`."""
        frame = check_error(await self.expect("error", frame_id=frame_id), error_type, code, message)
        self.observe_error(frame)
        return frame

    def observe_error(self, frame: Frame) -> None:
        """Note that a row of the table of errors was seen."""
        Observed.errors.add((self.endpoint, frame["data"]["error_type"], frame["data"]["code"]))

    async def expect_goodbye(self, code: int, reason: str | None = None) -> Frame:
        """Return the `disconnect` frame, which must be next; then the connection must close with the same code."""
        frame = await self.expect("disconnect", code=code, reconnect=CLOSE_CODES[code])
        assert frame["data"]["reason"]
        assert reason is None or frame["data"]["reason"] == reason
        if CLOSE_CODES[code]:
            assert frame["data"]["retry_after_ms"] >= 0
        await self.assert_closed(code)
        return frame

    async def expect_refusal(self, error_type: str, code: int, *, frame_id: str | None = None) -> Frame:
        """Return the `error`, which must be followed by what the table of errors says."""
        frame = await self.expect_error(error_type, code, frame_id=frame_id)
        close_code = ERRORS[error_type][1]
        if close_code is None:
            await self.assert_open()
        else:
            await self.expect_goodbye(close_code, frame["data"]["message"])
        return frame

    async def expect_bad_field(self, frame_id: str | None = None) -> Frame:
        """Return the `error` for a field of a known frame, after which the connection stays open."""
        frame = await self.expect_error("invalid_format", 400, frame_id=frame_id)
        await self.assert_open()
        return frame

    async def assert_closed(self, code: int) -> None:
        """The connection must end with this close code, and nothing before it."""
        assert not self._aside, self._aside
        with pytest.raises(ConnectionClosed) as closed:
            async with asyncio.timeout(RECEIVE_DEADLINE_S):
                await self.socket.recv()
        assert closed.value.rcvd is not None, f"{self.client_id}: the connection ended without a close frame"
        assert closed.value.rcvd.code == code
        Observed.close_codes.add((self.endpoint, code))

    async def assert_open(self) -> None:
        """The connection must be open, and nothing may be waiting: the next frame is the answer to a ping."""
        frame_id = await self.send("ping", {"still": "there"})
        await self.expect("pong", frame_id=frame_id, still="there")

    # What clients do.

    async def send_connect(self, workspace: str, *, api_key: Any = KEY, domain: str = "tests", **more: Any) -> str:
        """Send `connect`; return its id."""
        data = {
            "api_key": self.target.api_key if api_key is KEY else api_key,
            "connection_type": "chat",
            "domain": domain,
            "workspace": workspace,
            **more,
        }
        return await self.send("connect", data)

    async def authenticate(self, workspace: str, **more: Any) -> Frame:
        """Authenticate, and return `connection_success`; both answers must come, in order."""
        frame_id = await self.send_connect(workspace, **more)
        success = await self.expect(
            "connection_success", frame_id=frame_id, message="Connected", client_id=self.client_id
        )
        await self.expect(
            "message_delivered",
            frame_id=frame_id,
            message="Authentication message received and processed",
            original_type="connect",
            status="success",
        )
        return success

    async def join(self, channel: str, **more: Any) -> Frame:
        """Join, and return `subscription_success`; both answers must come, in order."""
        frame_id = await self.send("join_channel", {"channel": channel, **more})
        await self.expect("message_delivered", frame_id=frame_id, original_type="join_channel", status="success")
        return await self.expect(
            "subscription_success",
            frame_id=frame_id,
            channel=channel,
            status="success",
            message="Successfully joined channel",
        )

    async def confirmation(self, frame_id: str, original_type: str) -> Frame:
        """Return the confirmation of a message; deliveries that come before it are kept."""
        frame = await self.take("message_delivered", frame_id=frame_id, original_type=original_type, status="success")
        assert frame["data"]["id"] == frame_id
        assert isinstance(frame["data"]["epoch"], str)
        assert frame["data"]["offset"] >= 1
        return frame

    async def publish(self, channel: str, content: Any, **envelope: Any) -> Frame:
        """Publish a `chat_message`, and return its confirmation."""
        frame_id = await self.send("chat_message", {"content": content}, channel=channel, **envelope)
        return await self.confirmation(frame_id, "chat_message")

    async def close(self) -> None:
        """Close the connection, unless the server has: the library stumbles if that cut off what it was sending."""
        if self.socket.close_code is None:
            await self.socket.close()


class Clients:
    """Makes the clients of one test, in a workspace of its own, and closes them at the end."""

    def __init__(self, target: Target, *, debug: bool = False) -> None:
        self.target = target
        self.debug = debug
        self.workspace = new_name("w")
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Clients:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def open(self, client_id: str | None = None, **more: Any) -> ProtocolClient:
        """Return a client that has not authenticated."""
        client = await ProtocolClient.open(self.target, client_id, **{"debug": self.debug, **more})
        self._stack.push_async_callback(client.close)
        return client

    async def connected(
        self, client_id: str | None = None, *, workspace: str | None = None, options: Any = None, **connect_data: Any
    ) -> ProtocolClient:
        """Return a client that has authenticated."""
        client = await self.open(client_id, **(options or {}))
        await client.authenticate(workspace or self.workspace, **connect_data)
        return client

    async def member(self, channel: str, client_id: str | None = None, **join_data: Any) -> ProtocolClient:
        """Return a client that has joined a channel."""
        client = await self.connected(client_id)
        await client.join(channel, **join_data)
        return client


def new_name(prefix: str) -> str:
    """Return a name that no other test uses."""
    return f"{prefix}-{secrets.token_hex(6)}"


def _fits(frame: Frame, frame_type: str, frame_id: str | None, data: dict[str, Any]) -> bool:
    return (
        frame["type"] == frame_type
        and (frame_id is None or frame.get("id") == frame_id)
        and all(frame["data"].get(name) == value for name, value in data.items())
    )


def assert_frame(
    frame: Frame, frame_type: str, *, frame_id: str | None = None, channel: str | None = None, **data: Any
) -> Frame:
    """Fail unless a frame is of this type, with this id and channel (when given) and these data."""
    assert frame["type"] == frame_type, f"expected {frame_type}, got {frame}"
    assert frame_id is None or frame.get("id") == frame_id, frame
    if channel is not None:
        assert frame["channel"] == channel, frame
        if frame_type in ("subscription_success", "unsubscription_success", "history", "presence", "receipt"):
            assert frame["data"]["channel"] == channel, frame
    for name, value in data.items():
        assert frame["data"].get(name) == value, f"data.{name} should be {value!r}: {frame}"
    return frame


def check_error(frame: Frame, error_type: str, code: int, message: str | None = None) -> Frame:
    """Fail unless an `error` frame says this."""
    data = frame["data"]
    assert (data["error_type"], data["code"]) == (error_type, code), frame
    assert data["message"]
    assert message is None or data["message"] == message, frame
    assert code in ERRORS[error_type][0]
    return frame


def contents(frames: list[Frame]) -> list[Any]:
    """Return `data.content` of each frame."""
    return [frame["data"].get("content") for frame in frames]
