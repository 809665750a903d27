"""Who commits in the embedded engine: the event loop while that is quick, the writer's thread otherwise; in order always."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from session_service.adapters.engine_sqlite import hand_over
from tests.conformance.engine_bench import EngineUser, ManualClock
from tests.conformance.engine_factories import SqliteBench

pytestmark = pytest.mark.integration

NEVER_S = 1e9


class WitnessClock(ManualClock):
    """Notes who asks for the time: each group that is committed does so once."""

    def __init__(self) -> None:
        super().__init__()
        self.committers: list[int] = []

    def now(self) -> float:
        self.committers.append(threading.get_ident())
        return super().now()

    def by_loop(self) -> list[bool]:
        """Say of each group so far if the loop committed it, and forget them."""
        groups, self.committers = self.committers, []
        return [who == threading.get_ident() for who in groups]


class WitnessBench(SqliteBench):
    """Engines whose clock is a witness."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.clock: WitnessClock = WitnessClock()


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WitnessBench]:
    """Every commit counts as quick, however slow the machine is."""
    monkeypatch.setattr(hand_over, "QUICK_COMMIT_S", NEVER_S)
    made = WitnessBench(tmp_path)
    yield made
    await made.close_all()


@pytest.fixture
async def user(bench: WitnessBench) -> EngineUser:
    user = await bench.open()
    await user.subscribe()
    bench.clock.committers.clear()
    return user


async def test_a_message_alone_is_committed_on_the_loop(bench: WitnessBench, user: EngineUser) -> None:
    assert (await user.append()).offset == 1
    assert bench.clock.by_loop() == [True]
    assert user.offsets() == [1]


async def test_after_a_slow_commit_the_thread_commits(
    bench: WitnessBench, user: EngineUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand_over, "QUICK_COMMIT_S", -1.0)
    monkeypatch.setattr(hand_over, "THREAD_ONLY_S", NEVER_S)
    for _ in range(3):
        await user.append()
    assert bench.clock.by_loop() == [True, False, False]
    assert user.offsets() == [1, 2, 3]


async def test_a_large_group_is_committed_by_the_thread(bench: WitnessBench, user: EngineUser) -> None:
    count = hand_over.MAX_QUICK_APPENDS + 1
    await asyncio.gather(*[user.submit() for _ in range(count)])
    await user.append(data=b'"' + b"x" * hand_over.MAX_QUICK_BYTES + b'"')
    assert bench.clock.by_loop() == [False, False]
    assert user.offsets() == list(range(1, count + 2))


async def test_nothing_overtakes_what_the_thread_has(bench: WitnessBench, user: EngineUser) -> None:
    other = "tests/w1/other"
    subscribed = user.begin_subscribe(other)
    await asyncio.sleep(0)  # the tick ends: the thread has the subscription
    stored = await user.append(other)
    assert (await subscribed).offset == 0
    assert stored.offset == 1
    assert bench.clock.by_loop()[0] is False


async def test_while_another_process_writes_the_thread_waits_not_the_loop(
    bench: WitnessBench, user: EngineUser
) -> None:
    await user.append()
    with sqlite3.connect(bench.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = user.submit()
        await asyncio.sleep(0)  # the tick ends: the loop has tried, and given the group to the thread
        assert not waiting.done()
        other.execute("ROLLBACK")
    other.close()
    assert (await waiting).offset == 2
    assert bench.clock.by_loop() == [True, False]
    assert user.offsets() == [1, 2]
