"""One run: clients join, publish under chaos, settle; then the books are compared with each other and with the histories."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from tests.ledger.audit import HistoryAudit, audit
from tests.ledger.books import Books
from tests.ledger.chaos import Chaos
from tests.ledger.client import WAYS, LedgerClient, Pace
from tests.ledger.generator import watched
from tests.ledger.history import HistoryRefused, read_histories
from tests.ledger.report import Report
from tests.ledger.self_check import self_check
from tests.ledger.system import System
from tests.ledger.threads import in_thread
from tests.ledger.verdict import faults_of, rows_of
from tests.ledger.world import Troubled, World

JOIN_DEADLINE_S: Final = 60.0
POLL_S: Final = 0.1
CHANNELS_OF_A_CLIENT: Final = (2, 4)
WINDOW: Final = 10
STARTS_AT_ONCE: Final = 25


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Args:
        clients: How many.
        channels: How many; each client is in two to four of them.
        rate: Messages per second, all clients together.
        seconds: How long is published, under chaos.
        seed: Of all chance.
        kill_every_s: Seconds from one kill to the next; 0: none.
        at_once: Processes that are killed each time.
        freeze_s: Every second time they are frozen for so long instead; 0: never.
        renew_every_s: Seconds between two services that are stopped and started in their next version, until all are; 0: none.
        cut: Fraction of the clients, and seconds; None: no cuts.
        settle_s: How long clients may take, after the end of publishing, until they have everything.
        told: Whether they are done when each is connected and knows that it misses something, too: on a store that forgets.
    """

    clients: int = 200
    channels: int = 20
    rate: float = 100.0
    seconds: float = 300.0
    seed: int = 1
    kill_every_s: float = 0.0
    at_once: int = 1
    freeze_s: float = 0.0
    renew_every_s: float = 0.0
    cut: tuple[float, float] | None = None
    settle_s: float = 60.0
    told: bool = False


class NobodyJoined(Exception):
    """The clients did not all come in, so there is nothing to measure."""


class Run:
    """A plan, carried out in a world that has been started."""

    def __init__(self, plan: Plan, world: World) -> None:
        self._plan = plan
        self._world = world
        self._books = Books()
        self._start_s = time.monotonic()
        # No two runs share a channel or a client, so that a system that keeps running can be asked again.
        self._name = f"ledger-{plan.seed}-{time.time_ns() // 1_000_000:x}"
        self._chaos = Chaos(self._elapsed_s, random.Random(f"chaos {plan.seed}"))
        self._clients = self._make_clients()

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._start_s

    def _make_clients(self) -> list[LedgerClient]:
        plan, rng = self._plan, random.Random(f"clients {self._plan.seed}")
        channels = [f"{self._name}-{number:03}" for number in range(plan.channels)]
        pace = Pace(plan.clients / plan.rate, WINDOW)
        few, many = (min(bound, plan.channels) for bound in CHANNELS_OF_A_CLIENT)
        return [
            LedgerClient(
                self._books.client(f"{self._name}-{number}", rng.sample(channels, rng.randint(few, many))),
                self._world.urls(number),
                self._world.account,
                WAYS[number % len(WAYS)],
                pace,
                random.Random(f"client {number} {plan.seed}"),
            )
            for number in range(plan.clients)
        ]

    async def carry_out(self) -> Report:
        """Return what came of it.

        Raises:
            NobodyJoined: Not every client was a member of all its channels in time.
            LedgerIsBlind: The ledger failed its own check.
        """
        checked = self_check()
        async with self._living_clients():
            self._start_s = time.monotonic()
            async with watched() as load:
                await self._publish_under_chaos()
                published_s = self._elapsed_s()
                settled_s = await self._settle()
            mishaps: list[str] = []
            histories = await self._histories(mishaps)
            rows = rows_of(self._books)
        system = self._world if isinstance(self._world, System) else None
        return Report(
            plan=self._plan,
            checked=checked,
            rows=rows,
            books=self._books,
            histories=histories,
            faults=faults_of(self._books, rows, histories),
            events=self._chaos.events,
            published_s=published_s,
            settled_s=settled_s,
            load=load,
            mishaps=mishaps,
            proxy=system.proxy.counters if system and system.proxy else None,
            failed_starts=dict(system.failed_starts) if system else {},
        )

    @contextlib.asynccontextmanager
    async def _living_clients(self) -> AsyncIterator[None]:
        tasks = []
        try:
            for client in self._clients:
                tasks.append(asyncio.create_task(self._live(client)))
                if len(tasks) % STARTS_AT_ONCE == 0:
                    await asyncio.sleep(POLL_S)
            await self._until(lambda: self._all_joined() or bool(self._refusals()), JOIN_DEADLINE_S)
            if not self._all_joined():
                raise NobodyJoined(self._who_is_missing())
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _live(self, client: LedgerClient) -> None:
        """Run a client; if it ends by itself, it stays disconnected, which is a fault."""
        try:
            await client.run()
        except Exception as fault:
            client.book.surprises[f"ended: {fault!r}"] += 1

    def _all_joined(self) -> bool:
        return all(client.connected for client in self._books.clients.values())

    def _refusals(self) -> set[str]:
        """What the server said against clients. Before anything is broken, it has no reason that goes away."""
        return {text for client in self._books.clients.values() for text in client.surprises}

    def _who_is_missing(self) -> str:
        missing = sum(not client.connected for client in self._books.clients.values())
        why = sorted(self._refusals()) or [f"not within {JOIN_DEADLINE_S:g} s"]
        return f"{missing} of {self._plan.clients} clients did not join: {'; '.join(why[:3])}"

    async def _publish_under_chaos(self) -> None:
        plan, world = self._plan, self._world
        for client in self._clients:
            client.publishing = True
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(plan.seconds))
            if isinstance(world, Troubled):
                tasks.create_task(world.trouble())
            if isinstance(world, System) and plan.kill_every_s:
                kills = (plan.kill_every_s, plan.at_once, plan.freeze_s)
                tasks.create_task(self._chaos.kill(world.victims, *kills, plan.seconds))
            if isinstance(world, System) and plan.renew_every_s:
                tasks.create_task(self._chaos.renew(world.services, plan.renew_every_s))
            if isinstance(world, System) and world.proxy is not None and plan.cut:
                tasks.create_task(self._chaos.cut(world.proxy, *plan.cut, plan.seconds))
        for client in self._clients:
            client.publishing = False

    async def _settle(self) -> float | None:
        """Wait until everybody has everything; return when that was, or None if it never was."""
        if isinstance(self._world, System):
            await self._chaos.raise_the_fallen(self._world.victims)
        books, told = self._books, self._plan.told
        caught_up = await self._until(lambda: books.caught_up or (told and books.told), self._plan.settle_s)
        return self._elapsed_s() if caught_up else None

    async def _until(self, condition: Callable[[], bool], deadline_s: float) -> bool:
        end_s = time.monotonic() + deadline_s
        while not condition():
            if time.monotonic() > end_s:
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def _histories(self, mishaps: list[str]) -> list[HistoryAudit]:
        channels = self._books.channels
        try:
            kept = await read_histories(
                self._world.urls(0)[0], f"{self._name}-reader", self._world.account, list(channels)
            )
        except (HistoryRefused, TimeoutError) as failure:
            mishaps.append(f"the histories cannot be read: {failure!r}")
            return []
        return [audit(book, kept[name]) for name, book in channels.items()]


async def run(plan: Plan, world: World) -> Report:
    """Start a world, carry out a plan, and stop the world; its mishaps are in the report."""
    try:
        await in_thread(world.start)
        report = await Run(plan, world).carry_out()
        report.mishaps.extend(await in_thread(world.stop))
    finally:
        if isinstance(world, System):
            world.kill()
    return report
