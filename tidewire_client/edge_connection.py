"""One WebSocket connection to an edge: opened, authenticated, asked, read, closed.

There is no task behind it: whoever waits for an answer reads, and what comes meanwhile is kept in order for `receive`.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, Self

import aiohttp

from tidewire_client.edge_frames import (
    Frame,
    closed,
    encode_frame,
    encode_message,
    ends,
    error_of,
    goodbye,
    parse_frame,
    passes,
    retry_after_s,
)
from tidewire_client.errors import ConnectionLost, ConnectionRefused, InvalidRequest
from tidewire_client.retry import backoff_s

# Below the edge's own 10 s: whoever is late because a service is away comes again instead of being refused.
ANSWER_DEADLINE_S: Final = 5.0
HEARTBEAT_S: Final = 15.0
CLOSE_DEADLINE_S: Final = 2.0
MAX_FRAME_BYTES: Final = 4 * 1024 * 1024
MAX_KEPT_FRAMES: Final = 100_000


@dataclass(frozen=True, slots=True)
class EdgeLogin:
    """Where an edge is, and as whom to connect.

    Attributes:
        url: `http://host:port` or `https://...`, of an edge or of a balancer before several.
        api_key: The key; not in the `repr`.
        client_id: 1 to 64 of `A-Z a-z 0-9 _ -`.
        domain: Whose channels.
        workspace: Whose channels.
        connection_type: `chat`, `tasks`, `agents` or `graph`.
    """

    url: str
    api_key: str = field(repr=False)
    client_id: str
    domain: str = "personal"
    workspace: str = "personal"
    connection_type: str = "chat"

    @property
    def websocket_url(self) -> str:
        """The address of the WebSocket."""
        return f"{self.url.rstrip('/')}/client_{self.client_id}"

    def connect_data(self) -> dict[str, Any]:
        """Return the `data` of `connect`."""
        return {
            "api_key": self.api_key,
            "connection_type": self.connection_type,
            "domain": self.domain,
            "workspace": self.workspace,
        }


class EdgeConnection:
    """An open connection. Every method raises `ConnectionLost` or `ConnectionRefused` when it has ended.

    Args:
        session: Owns the socket, and is closed with it.
        socket: The open WebSocket.

    Attributes:
        welcome: The edge's `connection_success`.
    """

    welcome: Frame

    def __init__(self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._session = session
        self._socket = socket
        self._kept: deque[Frame] = deque()
        self._error: Frame | None = None
        self._reading: asyncio.Future[aiohttp.WSMessage] | None = None

    @classmethod
    async def open(cls, login: EdgeLogin, *, tls: ssl.SSLContext | None = None) -> Self:
        """Connect and authenticate.

        Args:
            login: Where the edge is, and as whom to connect.
            tls: What to trust; None: what the system does.

        Raises:
            ConnectionLost: The edge cannot be reached, or let go of the connection; one may come back.
            ConnectionRefused: The edge refuses the key, or whoever answers there is no edge.
            InvalidRequest: The edge refuses the `client_id`, the domain or the workspace.
            CallerNotAllowed: The key is not good for the domain or workspace.
        """
        session = aiohttp.ClientSession()
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                socket = await session.ws_connect(
                    login.websocket_url,
                    ssl=True if tls is None else tls,
                    heartbeat=HEARTBEAT_S,
                    max_msg_size=MAX_FRAME_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_DEADLINE_S),
                )
        except BaseException as exc:
            await session.close()
            problem = _cannot_open(exc, login)
            if problem is None:
                raise
            raise problem from None
        connection = cls(session, socket)
        try:
            connection.welcome = await connection.ask("connect", login.connect_data(), {"connection_success"})
        except BaseException:
            await connection.close()
            raise
        return connection

    async def close(self) -> None:
        """Close it; what was sent before arrives. Idempotent."""
        await self._socket.close()
        await self._session.close()
        if self._reading is not None:
            await asyncio.wait({self._reading})

    async def ask(self, frame_type: str, data: Mapping[str, Any], answers: Collection[str]) -> Frame:
        """Send a frame and return its answer; one that is refused for something that passes is sent again.

        Args:
            frame_type: Of the frame.
            data: Of the frame.
            answers: The types of frames that answer it.

        Raises:
            TidewireError: The frame was refused.
            ConnectionLost: There was no answer in time.
        """
        frame_id = new_frame_id()
        return await self._ask(encode_frame(frame_type, data, frame_id), frame_id, answers)

    async def publish(self, frame_type: str, message_id: str, channel: str, data: bytes) -> Frame:
        """Send a message and return its confirmation; raises as `ask`."""
        return await self._ask(encode_message(frame_type, message_id, channel, data), message_id, {"message_delivered"})

    async def send(self, frame_type: str, data: Mapping[str, Any]) -> None:
        """Send a frame that has no answer."""
        await self._send(encode_frame(frame_type, data))

    async def receive(self) -> Frame:
        """Return the next frame that answers nothing; safe to cancel."""
        return self._kept.popleft() if self._kept else await self._read()

    def has_message(self, channel: str) -> bool:
        """Say if a message of a channel came already and waits for `receive`."""
        return any(frame.is_message and frame.channel == channel for frame in self._kept)

    async def _ask(self, text: str, frame_id: str, answers: Collection[str]) -> Frame:
        count = 0
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                while True:
                    await self._send(text)
                    answer = await self._answer(frame_id, answers)
                    if answer.type != "error":
                        return answer
                    if ends(answer):
                        await self._until_goodbye()
                    if not passes(answer):
                        raise error_of(answer)
                    await self._pause(retry_after_s(answer) or backoff_s(count))
                    count += 1
        except TimeoutError:
            raise ConnectionLost("the edge, or a service behind it, did not answer in time") from None

    async def _answer(self, frame_id: str, answers: Collection[str]) -> Frame:
        while True:
            frame = await self._read()
            if frame.id == frame_id and (frame.type in answers or frame.type == "error"):
                return frame
            self._keep(frame)

    async def _pause(self, wait_s: float) -> None:
        """Wait, but hear it when the edge says goodbye."""
        try:
            async with asyncio.timeout(wait_s):
                while True:
                    self._keep(await self._read())
        except TimeoutError:
            return

    def _keep(self, frame: Frame) -> None:
        if len(self._kept) >= MAX_KEPT_FRAMES:
            raise ConnectionLost("too much came while an answer was awaited")
        self._kept.append(frame)

    async def _read(self) -> Frame:
        # Reading goes on when the waiting is cancelled: a socket whose reading was cancelled forgets how to close well.
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._socket.receive())
        message = await asyncio.shield(self._reading)
        self._reading = None
        if message.type is aiohttp.WSMsgType.CLOSE:
            raise closed(message.data)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionLost("the connection to the edge broke off")
        frame = parse_frame(message.data)
        if frame.type == "error":
            self._error = frame
        if frame.type == "disconnect":
            raise goodbye(frame, self._error)
        return frame

    async def _send(self, text: str) -> None:
        try:
            await self._socket.send_str(text)
        except (ConnectionError, aiohttp.ClientError):
            await self._until_goodbye()

    async def _until_goodbye(self) -> NoReturn:
        """Read on until the edge says why it ends the connection, or it just ends."""
        while True:
            self._keep(await self._read())


def new_frame_id() -> str:
    """Return an id for a frame that no other frame has."""
    return secrets.token_urlsafe(12)


def _cannot_open(exc: BaseException, login: EdgeLogin) -> Exception | None:
    """Return what a failed handshake means; None: it is no failure of the handshake."""
    if isinstance(exc, aiohttp.WSServerHandshakeError):
        return _refused_handshake(exc.status, login)
    # Before ValueError, which an error of a certificate is too.
    if isinstance(exc, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return ConnectionRefused(f"no TLS connection to {login.url}: {exc.__class__.__name__}", code=0)
    if isinstance(exc, aiohttp.InvalidURL | ValueError):
        return InvalidRequest(f"{login.url} is no address of an edge: http://host:port is")
    if isinstance(exc, TimeoutError):
        return ConnectionLost(f"no answer from {login.url}")
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return ConnectionLost(f"the host of {login.url} is not known")
    if isinstance(exc, aiohttp.ClientError | OSError):
        return ConnectionLost(f"nothing can be reached at {login.url}")
    return None


def _refused_handshake(status: int, login: EdgeLogin) -> Exception:
    if status == 400:
        return InvalidRequest(f"the edge refuses the client id {login.client_id!r}: 1 to 64 of A-Z a-z 0-9 _ -")
    if status in (429, 502, 503, 504):
        return ConnectionLost(f"{login.url} answers {status}: no edge is ready there")
    return ConnectionRefused(f"what answers at {login.url} is no edge: HTTP {status}", code=status)
