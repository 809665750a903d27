"""Lanes to every server of a Redis Cluster: each command goes to the server that has its key, and follows it when it moves.

Commands of one key keep their order. A server that sends a command elsewhere has done nothing, so it is sent on, and what
waits for that server is looked up again behind it. When the map changes, commands are parked until what was under way is over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

from service_runtime.logs import get_logger
from service_runtime.redis_address import Node
from session_service.adapters.redis_access.asking import Asked, OnReply, Redirect, Reply, ask, call
from session_service.adapters.redis_access.commands import Command
from session_service.adapters.redis_access.lane import Lane, OnRedirects
from session_service.adapters.redis_access.slots import SlotMap
from session_service.core.errors import EngineUnavailable

log = get_logger("session_service.engine_redis")

MAX_REDIRECTS: Final = 8

MakeLane = Callable[[Node, OnRedirects], Lane]


class ClusterLanes:
    """Implements `Lanes` for a Redis Cluster.

    Args:
        slots: Who has what; started by whoever made it.
        make_lane: Returns a lane to a server, given what to do with redirects.
    """

    def __init__(self, slots: SlotMap, make_lane: MakeLane) -> None:
        self._slots = slots
        self._make_lane = make_lane
        self._lanes: dict[Node, Lane] = {}
        self._parked: list[Asked] = []
        self._parking: asyncio.Task[None] | None = None
        self._closed = False
        slots.on_change(self._changed)

    async def start(self) -> None:
        """Connect to every server that has slots; raises EngineUnavailable."""
        for node in self._slots.owners:
            self._lanes[node] = self._new_lane(node)
        try:
            for lane in self._lanes.values():
                await lane.start()
        except EngineUnavailable:
            await asyncio.gather(*(lane.end() for lane in self._lanes.values()))
            raise

    async def close(self) -> None:
        """Finish what was asked, then hang up."""
        if self._parking is not None:
            await asyncio.wait([self._parking])
        self._closed = True
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
        self._lanes.clear()

    def submit(self, command: Command, done: OnReply, *, waits: bool = False) -> None:
        """Send a command soon; see `Lanes.submit`."""
        asked = Asked(command, done, time.monotonic(), waits)
        if self._parking is None:
            self._route(asked)
        else:
            self._parked.append(asked)

    async def ask(self, command: Command, *, waits: bool = False) -> Reply:
        """Send a command and return its reply; raises SessionError."""
        return await ask(self, command, waits=waits)

    def _route(self, asked: Asked) -> None:
        owner = self._slots.owner(asked.command.key)
        if owner is None or self._closed:
            self._slots.look_soon()
            error = EngineUnavailable("no server of the Redis Cluster has this key")
            asyncio.get_running_loop().call_soon(call, asked, error)
        else:
            self._lane(owner).take(asked)

    def _lane(self, node: Node) -> Lane:
        lane = self._lanes.get(node)
        if lane is None:
            lane = self._lanes[node] = self._new_lane(node)
            lane.begin()
        return lane

    def _new_lane(self, node: Node) -> Lane:
        return self._make_lane(node, partial(self._redirected, node))

    def _redirected(self, by: Node, redirects: Sequence[tuple[Asked, Redirect]]) -> None:
        """Send on what a server did not do, and behind it what still waits for that server."""
        lane = self._lanes.get(by)
        behind = [] if lane is None else lane.withdraw()
        for asked, redirect in redirects:
            node = redirect.node if redirect.node.host else Node(by.host, redirect.node.port)
            if not redirect.asking:
                self._slots.note(redirect.slot, node)
            asked.redirects += 1
            asked.asking = redirect.asking
            if asked.redirects > MAX_REDIRECTS or self._closed:
                call(asked, EngineUnavailable("the servers of the Redis Cluster do not agree who has a key"))
            else:
                self._lane(node).take(asked)
        for asked in behind:
            self._route(asked)

    def _changed(self) -> None:
        """Park what waits, and let go of servers that have nothing any more."""
        if self._closed:
            return
        owners = self._slots.owners
        self._parked = [asked for lane in self._lanes.values() for asked in lane.withdraw()] + self._parked
        under_way: list[Coroutine[Any, Any, None]] = [lane.when_idle() for lane in self._lanes.values()]
        for node in [node for node in self._lanes if node not in owners]:
            log.info("a server of the Redis Cluster has no slots any more", host=node.host, port=node.port)
            under_way.append(self._lanes.pop(node).end())
        self._parking = asyncio.create_task(self._unpark(under_way, self._parking))

    async def _unpark(self, under_way: Sequence[Coroutine[Any, Any, None]], earlier: asyncio.Task[None] | None) -> None:
        """Send what is parked when nothing is under way that was sent by an older map."""
        await asyncio.gather(*under_way)
        if earlier is not None:
            await asyncio.wait([earlier])
        if self._parking is not asyncio.current_task():
            return  # the map has changed once more
        self._parking = None
        parked, self._parked = self._parked, []
        for asked in parked:
            asked.asking = False
            self._route(asked)
