"""Calls to Redis with a deadline: scripts by their digest, every fault one error, no word of the driver let out.

Nothing that may have been done is repeated here: when a connection breaks, a change may have been made, and only the
caller knows whether making it again is safe. What a server refused, because it is not the master or not of this slot, is
asked of the one that is, until the deadline.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final, TypeVar

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AskError, BusyLoadingError, MovedError, NoScriptError, RedisError

from auth_service.adapters import metrics
from auth_service.adapters.redis_access.connections import REFUSALS, Line, RedisConnections
from auth_service.adapters.redis_access.master import RedisMaster, Words
from auth_service.adapters.redis_access.scripts import script_texts
from auth_service.core.errors import StoreUnavailableError
from service_runtime.logs import get_logger
from service_runtime.redis_address import Node, RedisAddress, Topology
from service_runtime.redis_facts import RedisFacts, read_facts

T = TypeVar("T")

# Calls that wait for an answer at most; one more is refused at once.
MAX_WAITING_CALLS: Final = 1024
_STAMP_BYTES: Final = 8
# Between two tries of what is refused while masters change or a slot moves.
REFUSED_PAUSE_S: Final = 0.05
# Between two looks at a server that still loads its data, at the start.
LOADING_PAUSE_S: Final = 0.1
# Of what is left of a call's time, so that a change that too few replicas have can be told from one that nothing is known of.
_REPLICAS_SHARE: Final = 0.8
_UNAVAILABLE: Final = "the key store did not answer; the call may be repeated"
_FAULTS: Final = (RedisError, OSError, TimeoutError)

# When the time of the call that is being made is over, by the event loop's clock.
_ends_s: Final[ContextVar[float]] = ContextVar("_ends_s")

log = get_logger("auth_service.store")


def stamp() -> str:
    """Return what tells an entry of the change log from one that takes its place (`change_log.lua`)."""
    return secrets.token_hex(_STAMP_BYTES)


class RedisCalls:
    """One Redis, its master under Sentinels, or a Redis Cluster. Open it with `open`, close it with `close`.

    Args:
        address: Where it is; a password in it is shown nowhere.
        home: The keys that say which server process has the store; every other lies in their slot.
        timeout_s: How long a call may take, waiting included.
        wait_replicas: Replicas that must have a change before it is confirmed.
    """

    def __init__(self, address: RedisAddress, home: Sequence[str], *, timeout_s: float, wait_replicas: int = 0) -> None:
        self._address = address
        self._home = home
        self._timeout_s = timeout_s
        self._wait_replicas = wait_replicas
        self._waiting = 0
        self._scripts = script_texts()
        self._digests = {
            name: hashlib.sha1(text, usedforsecurity=False).hexdigest() for name, text in self._scripts.items()
        }
        self._connections: RedisConnections | None = None

    @property
    def where(self) -> str:
        """Where the store is, for people."""
        return self._address.shown

    @property
    def confirms_on_replicas(self) -> bool:
        """Whether a change is confirmed only when replicas have it."""
        return self._wait_replicas > 0

    async def open(self) -> None:
        """Connect, and see that it is a Redis that will do.

        Raises:
            StoreUnavailableError: it cannot be reached, refuses the password, or is too old.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                facts = await self._connect(self._address)
                if facts.is_cluster:
                    await self.close()
                    facts = await self._connect(self._of_cluster())
        except _FAULTS as error:
            await self.close()
            problem = error if str(error) else "no answer in time"
            raise StoreUnavailableError(f"the key store {self.where} cannot be opened: {problem}") from None
        if facts.problem:
            await self.close()
            raise StoreUnavailableError(f"the key store {self.where} {facts.problem}")
        self._warn_of_losses(facts)

    async def close(self) -> None:
        """Close every connection."""
        if self._connections is not None:
            await self._connections.close()
            self._connections = None

    async def command(self, *words: Words) -> Any:
        """Run a command. To be awaited inside `within_deadline`."""
        return await self._on_master(lambda line: line.call(*words))

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Words]) -> Any:
        """Run one of the scripts. To be awaited inside `within_deadline`."""
        return await self._on_master(lambda line: self._evaluate(line, name, keys, arguments))

    async def change(self, name: str, keys: Sequence[str], arguments: Sequence[Words]) -> Any:
        """Run one of the scripts that change keys and return first whether it did; wait until replicas have it then.

        To be awaited inside `within_deadline`.

        Raises:
            StoreUnavailableError: too few replicas have it; it may be lost when the master is, and may be repeated.
        """

        async def work(line: Line) -> tuple[Any, int]:
            answer = await self._evaluate(line, name, keys, arguments)
            if answer[0] != b"done" or not self._wait_replicas:
                return answer, self._wait_replicas
            # On the same connection: Redis then knows which change is meant.
            return answer, await line.call("WAIT", self._wait_replicas, self._ms_for_replicas())

        answer, reached = await self._on_master(work)
        if reached < self._wait_replicas:
            metrics.STORE_ERRORS.inc()
            log.error("change not on replicas", reached=reached, wanted=self._wait_replicas, store=self.where)
            raise StoreUnavailableError(
                f"the change is perhaps stored: {reached} of {self._wait_replicas} replicas have it;"
                " the call may be repeated"
            )
        return answer

    async def within_deadline(self, work: Awaitable[T]) -> T:
        """Wait for some calls that are one to the caller.

        Raises:
            StoreUnavailableError: they failed, took too long, or too many are waiting.
        """
        self._waiting += 1
        timeout_s = self._timeout_s if self._waiting <= MAX_WAITING_CALLS else 0
        _ends_s.set(asyncio.get_running_loop().time() + timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                return await work
        except _FAULTS as error:
            metrics.STORE_ERRORS.inc()
            log.error("store failed", error=f"{type(error).__name__}: {error}", store=self.where)
            raise StoreUnavailableError(_UNAVAILABLE) from None
        finally:
            self._waiting -= 1

    def _of_cluster(self) -> RedisAddress:
        if not self._address.nodes:
            raise RedisError("it is a server of a Cluster: name it as redis+cluster://host:port")
        return replace(self._address, topology=Topology.CLUSTER)

    async def _connect(self, address: RedisAddress) -> RedisFacts:
        options = {
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": self._timeout_s,
            "socket_connect_timeout": self._timeout_s,
        }
        if address.nodes:
            options["socket_keepalive"] = True
        master = RedisMaster(address, self._home[0], options)
        self._connections = RedisConnections(address, master, options, self._move_in)
        while True:
            try:
                return await self._on_master(lambda line: read_facts(line.connection))
            except BusyLoadingError:  # it has begun, and will answer soon
                await asyncio.sleep(LOADING_PAUSE_S)

    async def _move_in(self, line: Line, facts: RedisFacts) -> None:
        """Note that a server process has the store now; one of a Cluster that is asked as a single one has not."""
        if facts.problem or (facts.is_cluster and self._address.topology is not Topology.CLUSTER):
            return
        arguments: list[Words] = [facts.run, int(facts.lossless), stamp()]
        if await self._evaluate(line, "at_home", self._home, arguments):
            log.warning("another server has the key store, and may lack changes: watchers start over", store=self.where)

    async def _on_master(self, work: Callable[[Line], Awaitable[T]]) -> T:
        """Do something at the master; do it again, there or elsewhere, when it was refused, and so was not done."""
        asking: Node | None = None
        while True:
            if self._connections is None:
                raise StoreUnavailableError("the key store is closed")
            try:
                async with self._connections.line(asking) as line:
                    return await work(line)
            except MovedError:
                asking = None
            except AskError as elsewhere:
                asking = line.at(elsewhere)
            except REFUSALS:
                asking = None
                if not self._connections.may_lead_elsewhere:
                    raise
                await asyncio.sleep(REFUSED_PAUSE_S)

    async def _evaluate(self, line: Line, name: str, keys: Sequence[str], arguments: Sequence[Words]) -> Any:
        try:
            return await line.call("EVALSHA", self._digests[name], len(keys), *keys, *arguments)
        except NoScriptError:  # a Redis that restarted has forgotten it, and has done nothing
            return await line.call("EVAL", self._scripts[name], len(keys), *keys, *arguments)

    def _ms_for_replicas(self) -> int:
        left_s = _ends_s.get() - asyncio.get_running_loop().time()
        return max(1, int(left_s * _REPLICAS_SHARE * 1000))

    def _warn_of_losses(self, facts: RedisFacts) -> None:
        for danger in facts.dangers:
            log.warning(f"the key store's Redis {danger}", store=self.where)
        if facts.replicas < self._wait_replicas:
            log.warning(
                "the key store's Redis has fewer replicas than must have a change: no key can be changed until it has",
                replicas=facts.replicas,
                wait_replicas=self._wait_replicas,
                store=self.where,
            )
