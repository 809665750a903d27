"""What is asked of Redis, and of whom: the words that lanes and their users share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

from service_runtime.logs import get_logger
from service_runtime.redis_address import Node
from session_service.adapters.redis_access.commands import Command
from session_service.core.errors import EngineTimeout, EngineUnavailable, SessionError

log = get_logger("session_service.engine_redis")

Reply: TypeAlias = Any
OnReply: TypeAlias = Callable[[Reply | SessionError], None]


class Asked:
    """A command that is under way.

    `asking`: it goes to a server that is about to take its key over. `in_doubt`: it was sent before, and may have been done.
    """

    __slots__ = ("asking", "command", "done", "in_doubt", "redirects", "since_s", "waits")

    def __init__(self, command: Command, done: OnReply, since_s: float, waits: bool) -> None:
        self.command = command
        self.done = done
        self.since_s = since_s
        self.waits = waits
        self.asking = False
        self.in_doubt = False
        self.redirects = 0


class Redirect(NamedTuple):
    """A server of a Redis Cluster did nothing, and named another. `asking`: that one only takes the key over."""

    slot: int
    node: Node
    asking: bool


class Lanes(Protocol):
    """Sends commands to whichever server is to be asked; what becomes of each is always said."""

    def submit(self, command: Command, done: OnReply, *, waits: bool = False) -> None:
        """Send a command soon; `done` is called once, later, with its reply or what became of it."""

    async def ask(self, command: Command, *, waits: bool = False) -> Reply:
        """Send a command and return its reply; raises SessionError."""

    async def start(self) -> None:
        """Connect; raises EngineUnavailable."""

    async def close(self) -> None:
        """Finish what was asked, as far as that goes in time, then hang up."""


async def ask(lanes: Lanes, command: Command, *, waits: bool = False) -> Reply:
    """Send a command and return its reply; raises SessionError."""
    answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def done(reply: Reply | SessionError) -> None:
        if answer.done():
            return
        if isinstance(reply, SessionError):
            answer.set_exception(reply)
        else:
            answer.set_result(reply)

    lanes.submit(command, done, waits=waits)
    return await answer


def call(asked: Asked, reply: Reply | SessionError) -> None:
    """Say what became of a command; a defect of who asked does not end the lane."""
    if asked.in_doubt and isinstance(reply, EngineUnavailable):
        reply = EngineTimeout()  # it was not done this time, and nobody knows of the time before
    try:
        asked.done(reply)
    except Exception as error:
        log.error("a callback failed", exc_info=error)
