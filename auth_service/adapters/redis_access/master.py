"""Which server to ask: the one of the URL, the master that the Sentinels name, or the one that holds a Cluster's slot.

What was found is asked for again every second, so that a master which was replaced while it still answers, or hangs,
is left soon. While nobody can say who the master is, the last one known is tried.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from service_runtime.redis_address import Node, RedisAddress, Topology

T = TypeVar("T")

LOOK_AGAIN_S: Final = 1.0
# One that does not answer in this time is passed over: there are others.
ASK_TIMEOUT_S: Final = 0.5
ASKED_IN_DOUBT: Final = 3

Words = str | bytes | int


async def call(connection: AbstractConnection, *words: Words) -> Any:
    """Run a command on a connection."""
    try:
        await connection.send_command(*words)
        return await connection.read_response()
    except RuntimeError as error:  # of uvloop, when something is written to a closed transport
        raise RedisConnectionError(str(error)) from None


class RedisMaster:
    """Finds the master, and remembers it.

    Args:
        address: What the URL says.
        key: One of the store's; all lie in its slot.
        options: Arguments of redis-py's connections.
    """

    def __init__(self, address: RedisAddress, key: str, options: Mapping[str, Any]) -> None:
        self._address = address
        self._slot = key_slot(key.encode())
        self._options = options
        # Whom to ask, the best first: who did not answer goes to the end.
        self._informants = list(address.nodes)
        self._known: Node | None = None
        self._looked_s = 0.0
        self._doubted = True
        self._looking = asyncio.Lock()

    @property
    def may_change(self) -> bool:
        """Whether another server may become the one to ask."""
        return self._address.topology is not Topology.SINGLE

    async def find(self) -> Node | None:
        """Return the server to ask; None: the one of the URL.

        Raises:
            RedisError: nobody who was asked knows, and none was known before.
        """
        if not self.may_change or self._is_fresh or (self._looking.locked() and not self._doubted):
            return self._known
        async with self._looking:
            if not self._is_fresh:
                try:
                    self._known = await self._look()
                except RedisError:
                    if self._known is None:
                        raise
                self._looked_s, self._doubted = _now_s(), False
        return self._known

    def doubt(self, node: Node | None) -> None:
        """Look again before the next call: this one is not, or no longer, the right one."""
        self._doubted = self._doubted or node == self._known

    def moved(self, node: Node) -> None:
        """Ask this one from now on: the Cluster says so."""
        self._known, self._looked_s, self._doubted = node, _now_s(), False

    @property
    def _is_fresh(self) -> bool:
        return not self._doubted and _now_s() - self._looked_s < LOOK_AGAIN_S

    def _asked_now(self) -> list[Node]:
        """Return whom to ask: not so many that a call which has a master to try is held up for long."""
        if self._known is None:
            return [*self._informants]
        return self._informants[: ASKED_IN_DOUBT if self._doubted else 1]

    async def _look(self) -> Node:
        ask = self._ask_sentinel if self._address.topology is Topology.SENTINEL else self._ask_cluster
        problems = []
        for informant in self._asked_now():
            try:
                async with asyncio.timeout(ASK_TIMEOUT_S):
                    return await ask(informant)
            except (RedisError, OSError, TimeoutError) as error:
                self._informants.remove(informant)
                self._informants.append(informant)
                problems.append(f"{informant.host}:{informant.port}: {error or 'no answer in time'}")
        raise RedisConnectionError(f"no master is known ({'; '.join(problems)})")

    async def _ask_sentinel(self, sentinel: Node) -> Node:
        connection = self._address.sentinel_connection(sentinel, **self._options)
        command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._address.service)
        found = await _once(connection, lambda: call(connection, *command))
        if not found:
            raise RedisConnectionError(f"it does not know the service {self._address.service}")
        host, port = found
        return Node(host.decode(), int(port))

    async def _ask_cluster(self, server: Node) -> Node:
        connection = self._address.connection(server, **self._options)
        ranges = await _once(connection, lambda: call(connection, "CLUSTER", "SLOTS"))
        nodes = [_node(words, server) for *_, masters in _split(ranges) for words in masters]
        self._informants = [*dict.fromkeys([server, *nodes, *self._address.nodes])]
        for first, last, servers in _split(ranges):
            if first <= self._slot <= last:
                return _node(servers[0], server)
        raise RedisConnectionError(f"no server has slot {self._slot}")


def _split(ranges: list[list[Any]]) -> list[tuple[int, int, list[Any]]]:
    return [(first, last, servers) for first, last, *servers in ranges]


def _node(words: list[Any], asked: Node) -> Node:
    """Return a server as `CLUSTER SLOTS` has it; without a host it is on that of the server that was asked."""
    host = words[0].decode() if words[0] else ""
    return Node(asked.host if host in ("", "?") else host, int(words[1]))


async def _once(connection: AbstractConnection, work: Callable[[], Awaitable[T]]) -> T:
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
        return await work()
    finally:
        await connection.disconnect(nowait=True)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
