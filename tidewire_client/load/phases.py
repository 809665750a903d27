"""What a load process does with its clients, phase by phase."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

from tidewire_client.load.client import LoadClient
from tidewire_client.load.environment import Environment, now_us
from tidewire_client.load.histogram import Histogram
from tidewire_client.load.ledger import Account
from tidewire_client.load.plan import (
    Answer,
    ClientAccount,
    Command,
    Done,
    Drain,
    Drained,
    Membership,
    Open,
    Opened,
    Publish,
    Published,
    SetReading,
    Stop,
    Storm,
)
from tidewire_client.load.schedule import Turns
from tidewire_client.load.session import StepFailed

_LOOK_AGAIN_S: Final = 0.05
_CLOSE_DEADLINE_S: Final = 3.0
INTERRUPTED_DRAIN_S: Final = 5.0


class Phases:
    """The clients of one load process, and what they do.

    Args:
        env: Of the process.
    """

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._clients: list[LoadClient] = []
        self._churned = 0

    async def do(self, command: Command) -> Answer:
        """Do what is asked, to its end; an interruption brings that about early."""
        handlers: dict[type, Callable[[Any], Coroutine[Any, Any, Answer]]] = {
            Open: self._open,
            Publish: self._publish,
            Drain: self._drain,
            Storm: self._storm,
            Membership: self._membership,
            SetReading: self._set_reading,
            Stop: self._stop,
        }
        return await handlers[type(command)](command)

    # Connecting.

    async def _open(self, command: Open) -> Answer:
        clients = [LoadClient(self._env, plan) for plan in command.clients]
        self._clients += clients
        tally = _Tally(self._env)
        if command.due_s:
            return await tally.all_of(
                self._when_due(client, due_s) for client, due_s in zip(clients, command.due_s, strict=True)
            )
        return await self._in_turn(clients, command.at_once, tally)

    async def _in_turn(self, clients: Sequence[LoadClient], at_once: int, tally: _Tally) -> Opened:
        left = iter(clients)

        async def work() -> None:
            for client in left:
                if self._env.interrupted.is_set():
                    return
                await tally.one(client.connect(), time.monotonic())

        await asyncio.gather(*(work() for _ in range(min(at_once, len(clients)))))
        return tally.opened()

    async def _when_due(self, client: LoadClient, due_s: float) -> float | None:
        if not await self._env.wait_until(due_s):
            return None
        await client.connect()
        return due_s

    async def _storm(self, command: Storm) -> Answer:
        if not await self._env.wait_until(command.at_s):
            return Opened(0, 0, 0.0, Histogram())
        clients = [client for client in self._clients if client.authenticated]
        for client in clients:
            client.cut()

        async def back(client: LoadClient) -> float:
            await client.connect()
            self._env.counters.reconnected += 1
            return command.at_s

        return await _Tally(self._env).all_of(map(back, clients))

    async def _membership(self, command: Membership) -> Answer:
        self._env.presence_phase = command.phase
        self._env.presence_due_us = int(command.at_s * 1e6)
        if not await self._env.wait_until(command.at_s):
            return Opened(0, 0, 0.0, Histogram())

        async def change(client: LoadClient) -> float:
            await client.change_membership(command.channel, join=command.phase % 2 == 0)
            return command.at_s

        members = [client for client in self._clients if not client.plan.watches]
        return await _Tally(self._env).all_of(map(change, members))

    # Messages.

    async def _publish(self, command: Publish) -> Answer:
        senders = [client for client in self._clients if client.outgoing is not None]
        phases = [client.plan.phase for client in senders]
        churn = asyncio.create_task(self._churn(command)) if command.churn_per_s else None
        turns = Turns(phases, command.start_s, command.rate, command.duration_s)
        while (due := turns.peek()) is not None:
            if due.at_s > time.monotonic():
                if not await self._env.wait_until(due.at_s):
                    break
                continue
            turns.take()
            senders[due.index].publish(int(due.at_s * 1e6))
        await self._env.wait_until(command.start_s + command.duration_s)
        if churn is not None:
            churn.cancel()
            await asyncio.wait({churn})
        return Published({client.plan.stream: client.outgoing.sent() for client in senders})  # type: ignore[union-attr, misc]

    async def _churn(self, command: Publish) -> None:
        """Cut one client after the other, who come back by themselves; those that publish stay."""
        listeners = [client for client in self._clients if client.outgoing is None]
        turns = Turns([0.5], command.start_s, command.churn_per_s, command.duration_s)
        while listeners and (due := turns.peek()) is not None and await self._env.wait_until(due.at_s):
            turns.take()
            listeners[self._churned % len(listeners)].leave_and_return()
            self._churned += 1

    async def _drain(self, command: Drain) -> Answer:
        deadline_s = time.monotonic() + command.deadline_s
        hurried = False
        waiting = [client for client in self._clients if command.with_slow or not client.plan.slow]
        while time.monotonic() < deadline_s:
            if self._env.interrupted.is_set() and not hurried:
                hurried, deadline_s = True, min(deadline_s, time.monotonic() + INTERRUPTED_DRAIN_S)
            while waiting and self._complete(waiting[-1], command):
                waiting.pop()
            if not waiting and not self._env.tasks:
                break
            await asyncio.sleep(_LOOK_AGAIN_S)
        await asyncio.sleep(command.settle_s)
        latency, confirmation, catch_up, lateness = self._env.take_times()
        return Drained(
            tuple(self._account(client, command) for client in self._clients),
            latency,
            confirmation,
            catch_up,
            lateness,
            sum(client.outgoing.unanswered for client in self._clients if client.outgoing is not None),
            Counter(client.fate for client in self._clients if client.plan.slow),
        )

    @staticmethod
    def _complete(client: LoadClient, command: Drain) -> bool:
        answered = client.outgoing is None or not client.outgoing.unanswered
        return answered and client.ledger.complete(client.plan.hears, command.sent)

    @staticmethod
    def _account(client: LoadClient, command: Drain) -> ClientAccount:
        streams = () if client.plan.slow and not command.with_slow else client.plan.hears
        account = client.ledger.account(streams, command.sent) if streams else Account()
        return ClientAccount(client.plan.number, account, client.plan.slow)

    async def _set_reading(self, command: SetReading) -> Answer:
        for client in self._clients:
            if client.plan.slow:
                client.set_reading(reading=command.reading)
        return Done()

    async def _stop(self, _: Stop) -> Answer:
        self._env.stopping = True
        for task in self._env.tasks:
            task.cancel()
        for client in self._clients:
            client.close()
        if self._env.counters.open:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_DEADLINE_S):
                    await self._env.all_gone.wait()
        for client in self._clients:
            client.cut()
        return Done()


class _Tally:
    """Counts what many clients got, each from when it was due."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._done = 0
        self._failed = 0
        self._last_s = 0.0
        self._times = Histogram()

    async def one(self, step: Coroutine[Any, Any, float | None], due_s: float) -> None:
        """Take one step; it returns when it was due, where that is not `due_s`."""
        try:
            due_s = await step or due_s
        except StepFailed as failed:
            if not self._env.interrupted.is_set():
                self._failed += 1
                self._env.counters.because(str(failed))
            return
        self._done += 1
        self._last_s = time.monotonic()
        self._times.record(now_us() - int(due_s * 1e6))

    async def all_of(self, steps: Iterable[Coroutine[Any, Any, float | None]]) -> Opened:
        """Take all steps at once; one that returns None was not taken."""

        async def taken(step: Coroutine[Any, Any, float | None]) -> None:
            async def due() -> float:
                due_s = await step
                if due_s is None:
                    raise StepFailed("interrupted")
                return due_s

            await self.one(due(), 0.0)

        await asyncio.gather(*map(taken, steps))
        return self.opened()

    def opened(self) -> Opened:
        """Return what was counted."""
        return Opened(self._done, self._failed, self._last_s, self._times)
