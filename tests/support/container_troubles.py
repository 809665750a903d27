"""What may happen to containers while clients publish: each trouble is over when the system is well again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence

from tests.ledger.wire import Account
from tests.ledger.world import Running
from tests.support.compose import ComposedSystem
from tests.support.waiting import wait_until

# A trouble that has an end of its own lasts for so long.
TROUBLE_S = 3.0
RECOVERY_DEADLINE_S = 120.0
Trouble = Callable[[ComposedSystem, str], Awaitable[None]]


class Troubles(Running):
    """A composed system, in which something happens to containers, one after the other.

    Args:
        system: It runs.
        account: Whose clients publish.
        happens: What, to one container.
        services: To whose containers.
    """

    def __init__(self, system: ComposedSystem, account: Account, happens: Trouble, services: Sequence[str]) -> None:
        super().__init__([f"ws://{system.address}"], account)
        self.troubled: list[str] = []
        self._system = system
        self._happens = happens
        self._services = services

    async def trouble(self) -> None:
        for service in self._services:
            await self._happens(self._system, service)
            await asyncio.to_thread(self._system.wait_well, service)
            self.troubled.append(service)


async def kill(system: ComposedSystem, service: str) -> None:
    """End its process as a crash does; its restart policy has it started again."""
    container = system.containers()[service]
    pid = system.pid_of(container)
    os.kill(pid, signal.SIGKILL)

    def again() -> bool:
        return system.pid_of(container) not in (0, pid)

    await asyncio.to_thread(wait_until, again, RECOVERY_DEADLINE_S, f"{service} is started again")


async def pause(system: ComposedSystem, service: str) -> None:
    """Let it answer nothing for a while."""
    container = system.containers()[service]
    await asyncio.to_thread(system.engine.run, "pause", container)
    await asyncio.sleep(TROUBLE_S)
    await asyncio.to_thread(system.engine.run, "unpause", container)


async def disconnect(system: ComposedSystem, service: str) -> None:
    """Take it from all its networks for a while."""
    container = system.containers()[service]
    networks = list(system.engine.inspect(container)["NetworkSettings"]["Networks"])
    for network in networks:
        await asyncio.to_thread(system.engine.run, "network", "disconnect", "--force", network, container)
    await asyncio.sleep(TROUBLE_S)
    aliases = [f"--alias={alias}" for alias in {service, alias_of(service)}]
    for network in networks:
        await asyncio.to_thread(system.engine.run, "network", "connect", *aliases, network, container)


async def restart(system: ComposedSystem, service: str) -> None:
    """Stop it in order, with the time that its Compose file gives it, and start it again: as an upgrade does."""
    container = system.containers()[service]
    await asyncio.to_thread(system.engine.run, "stop", container)
    await asyncio.to_thread(system.engine.run, "start", container)


def alias_of(service: str) -> str:
    """Return the name by which others find it and its like."""
    return service.partition("-")[0]
