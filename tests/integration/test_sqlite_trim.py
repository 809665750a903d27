"""Trimming on SQLite: what a step costs does not depend on how much was stored, and one that did not do is followed soon."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

import pytest

from session_service.adapters.engine_sqlite.file import migrate, open_writer
from session_service.adapters.engine_sqlite.group import Group
from session_service.adapters.engine_sqlite.ops import Append, Outcome, WriterSettings
from session_service.adapters.engine_sqlite.trim import Trimmer
from session_service.adapters.engine_sqlite.writer import Writer
from session_service.core.model import NewMessage
from session_service.core.retention import RetentionPolicy, RetentionRule
from tests.conformance.engine_bench import ManualClock
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

TOPIC: Final = "d/w/room"
KEPT: Final = 10
TO_GO: Final = 1_000


class Trimmed:
    """A store without a thread, in which one channel keeps ten messages.

    Args:
        db: The connection.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.clock = ManualClock()
        self._db = db
        self._settings = settings_of(self.clock)
        self.trimmer = Trimmer(self._settings)
        self._numbers = itertools.count()

    def store(self, count: int, topic: str = TOPIC) -> None:
        """Store messages, in one group."""
        group = Group(self._db, self._settings, {})
        group.run([append_of(topic, str(number)) for number in itertools.islice(self._numbers, count)])

    def step(self) -> int:
        """Look at the channel; return how many rows were deleted."""
        self.trimmer.wrote(TOPIC)
        return self.step_of_an_idle_store()

    def step_of_an_idle_store(self) -> int:
        """Look at what is to be looked at by itself; return how many rows were deleted."""
        return self.trimmer.step(self._db, Group(self._db, self._settings, {}))

    def work_of_a_step(self) -> int:
        """Look at the channel, where nothing is to be deleted; return how many tens of instructions SQLite needed for it."""
        count = 0

        def instructions() -> int:
            nonlocal count
            count += 1
            return 0

        self._db.set_progress_handler(instructions, 10)
        assert self.step() == 0
        self._db.set_progress_handler(None, 0)
        return count

    @property
    def rows(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM messages").fetchone()[0])


def settings_of(clock: ManualClock) -> WriterSettings:
    """Return settings by which a channel keeps ten messages."""
    return WriterSettings(
        RetentionPolicy(RetentionRule(KEPT, 1e6, 2**30)),
        now_s=clock.now,
        monotonic_s=clock.monotonic,
        new_epoch=lambda: "e",
    )


def append_of(topic: str, message_id: str) -> Append:
    """Return what stores one message."""
    return Append(NewMessage(topic, "chat_message", message_id, "c", b"{}", ""), lambda _: None, 0.0)


class Written:
    """A store with its thread, as a context manager. It deletes in a hundred steps what is in it beyond what is kept.

    Args:
        path: The file.
        by_hand: Whether steps are due by the clock of the test, else by the real one.
    """

    def __init__(self, path: Path, *, by_hand: bool = False) -> None:
        self.clock = WatchedClock()
        self.outcomes: list[Outcome] = []
        settings = settings_of(self.clock)
        if not by_hand:
            settings = replace(settings, monotonic_s=time.monotonic, trim_rows=TO_GO // 100, trim_interval_s=0.05)
        self.writer = Writer(path, settings, lambda _, outcomes, __: self.outcomes.extend(outcomes))
        self.db = sqlite3.connect(path, isolation_level=None)

    async def __aenter__(self) -> Self:
        """Start, and store everything."""
        await asyncio.to_thread(self.writer.start)
        self.writer.submit([append_of(TOPIC, str(number)) for number in range(TO_GO + KEPT)])
        await eventually(lambda: self.has_rows(TO_GO + KEPT), 10.0, "all is stored")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.db.close()
        assert await asyncio.to_thread(self.writer.stop, 10.0)

    async def has_rows(self, count: int) -> bool:
        """There are so many messages."""
        return bool(self.db.execute("SELECT count(*) = ? FROM messages", (count,)).fetchone()[0])


class WatchedClock(ManualClock):
    """It counts how often it is asked for the time of day: by every message, and by every channel that is trimmed."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def now(self) -> float:
        """Return the time of day."""
        self.looks += 1
        return super().now()

    async def was_looked_at(self, before: int) -> bool:
        """It was since."""
        return self.looks > before


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Trimmed]:
    with closing(open_writer(tmp_path / "session.db", 0)) as db:
        migrate(db)
        yield Trimmed(db)


def test_what_is_younger_than_the_window_is_not_looked_through_at_each_step(store: Trimmed) -> None:
    store.store(500)
    store.step()  # moves the channel's low
    few = store.work_of_a_step()
    store.store(10_000)
    store.step()
    assert 0 < store.work_of_a_step() <= 2 * few
    assert store.rows == 10_500


def test_what_lies_behind_a_message_of_a_clock_that_was_ahead_stays_with_it(store: Trimmed) -> None:
    """Rows go in the order of offsets: what came after the clock was set right is older than what came before."""
    for pause_s in (400.0, -350.0, 310.0):
        store.store(100)
        store.clock.pass_s(pause_s)
    assert [store.step(), store.step()] == [100, 0]
    store.clock.pass_s(400.0)
    assert store.step() == 200 - KEPT


def test_a_channel_that_has_more_to_delete_than_goes_into_a_step_is_trimmed_soon_again(store: Trimmed) -> None:
    store.store(1_200)
    store.clock.pass_s(301.0)
    deleted = []
    while store.rows > KEPT:
        deleted.append(store.step())
        assert not store.trimmer.due
        store.clock.pass_s(0.05 + 1e-6)
        assert store.trimmer.due == (deleted[-1] == 500)
    assert deleted == [500, 500, 190]


def test_a_channel_that_has_more_to_delete_comes_before_many_that_were_not_written_to(store: Trimmed) -> None:
    for number in range(100):
        store.store(1, f"d/w/quiet-{number}")
    store.store(1_200)
    store.clock.pass_s(301.0)
    assert [store.step(), store.step_of_an_idle_store(), store.step_of_an_idle_store()] == [500, 500, 190]


async def test_a_store_to_which_nothing_is_written_any_more_is_trimmed_as_one_to_which_is(tmp_path: Path) -> None:
    """A hundred steps: at one a second, as often as an idle writer looks when there is nothing to do, that would be 100 s."""
    async with Written(tmp_path / "session.db") as store:
        store.clock.pass_s(301.0)
        await eventually(lambda: store.has_rows(KEPT), 20.0, "all that is to go has gone")


async def test_a_step_that_failed_is_not_tried_again_with_the_next_message(tmp_path: Path) -> None:
    async with Written(tmp_path / "session.db", by_hand=True) as store:
        store.db.execute("CREATE TRIGGER no BEFORE DELETE ON messages BEGIN SELECT RAISE(ABORT, 'on purpose'); END")
        looked = store.clock.looks
        store.clock.pass_s(301.0)
        await eventually(lambda: store.clock.was_looked_at(looked), 10.0, "a step is tried")
        store.writer.submit([append_of(TOPIC, "next")])
        await eventually(lambda: store.has_rows(TO_GO + KEPT + 1), 10.0, "the next message is stored")
    assert [outcome.fault for outcome in store.outcomes if outcome.fault] == []
