"""Benches whose stores crash for real, in the middle of appends: a process that is killed, a server that is killed."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry

from session_service.adapters.engine_sqlite.engine import SqliteEngine
from session_service.adapters.engine_sqlite.ops import WriterSettings
from session_service.adapters.metrics_prometheus import EngineMetrics
from session_service.core.model import NewMessage, Stored, StoredMessage
from session_service.core.retention import RetentionPolicy, RetentionRule
from tests.conformance.engine_bench import EngineBench, EngineUser
from tests.conformance.engine_factories import RedisBench, SqliteBench
from tests.support.redis_server import RedisServer

END_S = 30.0


class Crashed(NamedTuple):
    """What is left: an engine that can be used, and what was confirmed before the crash, or in spite of it."""

    user: EngineUser
    confirmed: Mapping[str, Stored]


class CrashingBench(EngineBench, ABC):
    """A bench that can crash. `epochs_may_change`: a crash may give channels another epoch."""

    epochs_may_change: bool

    @abstractmethod
    async def crash(
        self, user: EngineUser, messages: Sequence[NewMessage], after: int, options: Mapping[str, Any]
    ) -> Crashed:
        """Append messages at once, and crash when so many are confirmed.

        Args:
            user: The engine that is used; who uses it goes on with the one that is returned.
            messages: Their ids differ.
            after: The store crashes at the first moment after so many confirmations.
            options: Of the engine.
        """


class CrashingSqlite(CrashingBench, SqliteBench):
    """Another process opens the file, appends, and is killed."""

    epochs_may_change = False

    async def crash(
        self, user: EngineUser, messages: Sequence[NewMessage], after: int, options: Mapping[str, Any]
    ) -> Crashed:
        await user.close()
        rule, window_s = options["default_rule"], options["idempotency_window_s"]
        self._epochs += 1
        life = Life(self.path, messages, rule, window_s, self.clock.now_s, f"killed-{self._epochs}")
        confirmed = await asyncio.to_thread(_killed_after, life, after)
        return Crashed(await self.open(**options), confirmed)


class CrashingRedis(CrashingBench, RedisBench):
    """The server is killed and comes back on its port with what was on the disk. The engine lives on."""

    epochs_may_change = True
    timeout_s = 20.0

    def __init__(self, folder: Path, server: RedisServer) -> None:
        super().__init__(folder, server.url)
        self._server = server

    async def crash(
        self, user: EngineUser, messages: Sequence[NewMessage], after: int, options: Mapping[str, Any]
    ) -> Crashed:
        promises = {message.id: user.submit(**message._asdict()) for message in messages}
        while sum(promise.done() for promise in promises.values()) < after:
            await asyncio.wait(
                [promise for promise in promises.values() if not promise.done()], return_when="FIRST_COMPLETED"
            )
        await asyncio.to_thread(self._server.restart)
        results = await asyncio.gather(*promises.values(), return_exceptions=True)
        confirmed = {key: each for key, each in zip(promises, results, strict=True) if isinstance(each, Stored)}
        return Crashed(user, confirmed)


class Life(NamedTuple):
    """What a process that is to be killed needs to know."""

    path: Path
    messages: Sequence[NewMessage]
    rule: RetentionRule
    window_s: float
    now_s: float
    epochs: str


# Its server has imported everything once, so that a process is there in no time.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


def _killed_after(life: Life, after: int) -> dict[str, Stored]:
    """Have a process append, kill it after so many confirmations, and return all that came."""
    ours, theirs = _processes.Pipe(duplex=False)
    process = _processes.Process(target=live, args=(life, theirs))
    process.start()
    theirs.close()
    confirmed: dict[str, Stored] = {}
    with contextlib.closing(ours):
        while len(confirmed) < after:
            if not ours.poll(END_S):
                raise AssertionError(f"no confirmation within {END_S} s")
            _take(ours, confirmed)
        process.kill()
        process.join(END_S)
        with contextlib.suppress(EOFError):
            while ours.poll(0):
                _take(ours, confirmed)
    assert process.exitcode is not None
    assert process.exitcode < 0, "the process ended by itself"
    process.close()
    return confirmed


def _take(connection: Connection, confirmed: dict[str, Stored]) -> None:
    message_id, stored = connection.recv()
    confirmed[message_id] = Stored(*stored)


class _Nobody:
    def on_message(self, message: StoredMessage) -> None:
        raise AssertionError("nothing is subscribed")

    def on_renewed(self, topic: str, position: object, *, lossless: bool) -> None:
        raise AssertionError("nothing is subscribed")


def live(life: Life, confirmations: Connection) -> None:
    """Append and tell of each confirmation, then wait to be killed."""
    asyncio.run(_live(life, confirmations))


async def _live(life: Life, confirmations: Connection) -> None:
    numbers = iter(range(1_000_000))
    settings = WriterSettings(
        RetentionPolicy(life.rule),
        idempotency_window_s=life.window_s,
        now_s=lambda: life.now_s,
        monotonic_s=lambda: 0.0,
        new_epoch=lambda: f"{life.epochs}-{next(numbers)}",
    )
    engine = SqliteEngine(life.path, settings, metrics=EngineMetrics(CollectorRegistry()))
    await engine.start(_Nobody())
    for message in life.messages:
        engine.append(message, lambda stored, message=message: confirmations.send((message.id, tuple(stored))))
        await asyncio.sleep(0)  # so that they are stored in groups of all sizes
    await asyncio.Event().wait()
