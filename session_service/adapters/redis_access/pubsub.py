"""A connection on which Redis publishes: kept up, proved alive by PING, with every wanted channel subscribed.

What it brings may have holes. Each time a channel is (again) subscribed its user is told, and looks what was missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice
from typing import Final, Protocol

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from service_runtime.logs import get_logger
from service_runtime.tasks import end_tasks
from session_service.adapters.redis_access.link import FAULTS, Dialer, hang_up
from session_service.core.errors import EngineUnavailable

log = get_logger("session_service.engine_redis")

QUIET_S: Final = 2.0
"""After so long without a word the server is asked for one, and after as long again the connection counts as dead."""
FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 1.0
CHUNK: Final = 500
END_S: Final = 0.5


class PubSubListener(Protocol):
    """Who is told what is heard."""

    def on_published(self, channel: bytes, payload: bytes) -> None:
        """Take a message."""

    def on_heard(self, channel: bytes) -> None:
        """Note that a channel is heard from now on; what was published before may be missing."""


class Listening(Protocol):
    """Listens to channels, wherever they are published."""

    def start(self) -> None:
        """Begin to listen."""

    async def close(self) -> None:
        """Listen no longer. Idempotent."""

    def add(self, channel: str) -> None:
        """Listen to a channel; told again when it is heard, even if it was before."""

    def remove(self, channel: str) -> None:
        """Listen to a channel no longer. Idempotent."""

    def begin_anew(self) -> None:
        """Replace connections that seem to be deaf."""


class PubSub:
    """Listens to channels at one server.

    Args:
        dialer: Makes the connection.
        listener: Told what is heard.
        sharded: By sharded pub/sub, as servers of a Redis Cluster have it.
        on_trouble: Called when there is no connection, it ended, or a channel is published elsewhere.
    """

    def __init__(
        self,
        dialer: Dialer,
        listener: PubSubListener,
        *,
        sharded: bool = False,
        on_trouble: Callable[[], None] = lambda: None,
    ) -> None:
        self._dialer = dialer
        self._listener = listener
        self._sharded = sharded
        self._on_trouble = on_trouble
        self._connection: AbstractConnection | None = None
        self._wanted: dict[str, None] = {}
        self._changes: dict[str, None] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Listen no longer. Idempotent."""
        if self._task is not None:
            await end_tasks(self._task, again_s=END_S)  # it ends another task itself

    def add(self, channel: str) -> None:
        """Listen to a channel; told again when it is heard, even if it was before."""
        self._wanted[channel] = None
        self._change(channel)

    def remove(self, channel: str) -> None:
        """Listen to a channel no longer. Idempotent."""
        self._wanted.pop(channel, None)
        self._change(channel)

    def begin_anew(self) -> None:
        """Hang up: another connection is made, and what is wanted is subscribed on it."""
        if self._connection is not None:
            log.warning("the connection that listens to the message store is replaced")
            asyncio.create_task(hang_up(self._connection))  # noqa: RUF006 - it does not wait for anything
            self._connection = None

    def _change(self, channel: str) -> None:
        self._changes[channel] = None
        self._changed.set()

    async def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                connection = await self._dialer.dial()
            except EngineUnavailable as error:
                log.warning("message store cannot be listened to", error=str(error))
                self._on_trouble()
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, MAX_PAUSE_S)
                continue
            pause_s = FIRST_PAUSE_S
            self._connection = connection
            try:
                await self._listen(connection)
            except Exception:
                log.exception("listening to the message store failed")
            self._connection = None
            self._on_trouble()
            await asyncio.sleep(pause_s)

    async def _listen(self, connection: AbstractConnection) -> None:
        """Read until the connection ends; another task tells the server what is wanted."""
        self._changes = dict(self._wanted)
        self._changed.set()
        telling = asyncio.create_task(self._tell(connection))
        try:
            await self._read(connection)
        except FAULTS as error:
            log.warning("message store is not heard any more", error=type(error).__name__)
        finally:
            await hang_up(connection)
            await end_tasks(telling)

    async def _tell(self, connection: AbstractConnection) -> None:
        try:
            while True:
                await self._changed.wait()
                changes = list(islice(self._changes, CHUNK))
                for channel in changes:
                    del self._changes[channel]
                if not self._changes:
                    self._changed.clear()
                for word, wanted in (("SUBSCRIBE", True), ("UNSUBSCRIBE", False)):
                    channels = [channel for channel in changes if (channel in self._wanted) is wanted]
                    if channels:
                        await connection.send_packed_command(
                            connection.pack_commands(self._commands(word, channels)), check_health=False
                        )
        except (*FAULTS, AttributeError):  # redis-py, when the reader has hung up in the middle of it
            await hang_up(connection)  # the reader notices, and begins anew

    def _commands(self, word: str, channels: list[str]) -> list[tuple[str, ...]]:
        """Sharded channels of one command would have to be in one slot."""
        return [(f"S{word}", channel) for channel in channels] if self._sharded else [(word, *channels)]

    async def _read(self, connection: AbstractConnection) -> None:
        asked = False
        while True:
            try:
                response = await connection.read_response(
                    disable_decoding=True, timeout=QUIET_S, disconnect_on_error=False, push_request=True
                )
            except ResponseError as error:  # a channel is published elsewhere, or nobody may listen to it
                log.warning("message store refused a subscription", error=str(error))
                self._on_trouble()
                continue
            if response is None:
                if asked:
                    raise RedisConnectionError("no answer to PING")
                asked = True
                await connection.send_command("PING", check_health=False)
                continue
            asked = False
            kind = response[0]
            if kind in (b"message", b"smessage"):
                self._listener.on_published(response[1], response[2])
            elif kind in (b"subscribe", b"ssubscribe"):
                self._listener.on_heard(response[1])
            elif kind == b"sunsubscribe" and response[1] is not None and response[1].decode() in self._wanted:
                self._on_trouble()  # its slot has moved
