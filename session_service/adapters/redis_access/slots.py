"""Which server of a Redis Cluster has which key now.

The map is read from any server, when a connection ends, when a server sends something elsewhere, and every `LOOK_S`. Who uses
it is told of each change.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from service_runtime.logs import get_logger
from service_runtime.redis_address import Node, RedisAddress
from service_runtime.tasks import end_tasks
from session_service.adapters.redis_access.link import FAULTS, NodeDialer, hang_up
from session_service.core.errors import EngineUnavailable

log = get_logger("session_service.engine_redis")

LOOK_S: Final = 5.0
LOOK_AGAIN_S: Final = 0.2
"""After trouble: a fail-over takes its time."""
TROUBLE_LOOKS: Final = 50


class SlotMap:
    """The servers that take writes, slot by slot.

    Args:
        address: Servers of the Cluster to begin with.
        timeout_s: Seconds that one look may take.
    """

    def __init__(self, address: RedisAddress, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._owners: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._known: list[Node] = list(address.nodes)
        self._users: list[Callable[[], None]] = []
        self._wanted = asyncio.Event()
        self._looks_left = 0
        self._untold = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the map, and keep it; raises EngineUnavailable."""
        await self._look()
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Look no longer. Idempotent."""
        if self._task is not None:
            await end_tasks(self._task)

    def on_change(self, user: Callable[[], None]) -> None:
        """Call `user` after each change of the map."""
        self._users.append(user)

    def owner(self, key: str) -> Node | None:
        """Return the server that has a key; None: nobody, as far as is known."""
        return self._owners[key_slot(key.encode())]

    @property
    def owners(self) -> set[Node]:
        """Every server that has a slot."""
        return {owner for owner in self._owners if owner is not None}

    def note(self, slot: int, owner: Node) -> None:
        """Note what a server said of one slot, and look at all; users are told after that."""
        self._owners[slot] = owner
        self._untold = True
        self.look_soon()

    def look_soon(self) -> None:
        """Look, again and again for a while: something is about to change."""
        self._looks_left = TROUBLE_LOOKS
        self._wanted.set()

    async def _keep(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._wanted.wait()
            except TimeoutError:
                self._looks_left = 1
            changed = False
            try:
                changed = await self._look()
            except EngineUnavailable as error:
                log.warning("the Redis Cluster's slots are not known", error=str(error))
            self._looks_left -= 1
            if changed or self._looks_left <= 0:
                self._looks_left = 0
                self._wanted.clear()
            else:
                await asyncio.sleep(LOOK_AGAIN_S)

    async def _look(self) -> bool:
        """Read the map from whichever server answers first; return if it has changed."""
        nodes = self._known[:]
        random.shuffle(nodes)
        for node in nodes:
            try:
                ranges = await self._ask(node)
            except (EngineUnavailable, *FAULTS) as error:
                log.warning("a server of the Redis Cluster does not answer", host=node.host, error=type(error).__name__)
                continue
            return self._take(node, ranges)
        raise EngineUnavailable("no server of the Redis Cluster answers")

    async def _ask(self, node: Node) -> Sequence[Any]:
        connection = await NodeDialer(self._address, self._timeout_s, node).dial()
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.send_command("CLUSTER", "SLOTS", check_health=False)
                ranges: Sequence[Any] = await connection.read_response(disable_decoding=True)
                return ranges
        finally:
            await hang_up(connection)

    def _take(self, asked: Node, ranges: Sequence[Any]) -> bool:
        owners: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        known: dict[Node, None] = {}
        for first, last, *servers in ranges:
            nodes = [_node(server, asked) for server in servers]
            owners[first : last + 1] = [nodes[0]] * (last + 1 - first)
            known.update(dict.fromkeys(nodes))
        if not known:
            return False  # a server that has not met the others yet
        self._known = [*known, *(node for node in self._address.nodes if node not in known)]
        changed = self._untold or owners != self._owners
        if changed:
            self._owners, self._untold = owners, False
            for user in self._users:
                user()
        return changed


def _node(server: Sequence[Any], asked: Node) -> Node:
    """A server that does not know its own name is the one that was asked."""
    host = server[0].decode() if server[0] else ""
    return Node(host if host not in ("", "?") else asked.host, int(server[1]))
