"""The embedded engine and its file: crashes, full disks, files that are not its own."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import pytest
from prometheus_client import CollectorRegistry

from session_service.adapters.engine_sqlite.engine import SqliteEngine
from session_service.adapters.engine_sqlite.file import migrations, open_writer
from session_service.adapters.engine_sqlite.ops import WriterSettings
from session_service.adapters.metrics_prometheus import EngineMetrics
from session_service.core.errors import EngineTimeout, EngineUnavailable, InternalError, LimitExceeded
from session_service.core.model import Position
from session_service.core.retention import RetentionRule
from tests.conformance.engine_bench import TOPIC, EngineBench, EngineOptions, EngineUser, offsets_of
from tests.conformance.engine_factories import SqliteBench
from tests.support.processes import ROOT
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

T = TypeVar("T")

CONFIRMATIONS = 3000
NOBODY = 65_534


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[SqliteBench]:
    made = SqliteBench(tmp_path)
    yield made
    await made.close_all()


@pytest.fixture
async def user(bench: EngineBench) -> EngineUser:
    return await bench.open()


async def until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds."""

    async def holds() -> bool:
        return condition()

    await eventually(holds)


async def until_refused(attempt: Callable[[int], Awaitable[T]]) -> list[T]:
    """Repeat until the store says that it cannot; return what it took."""
    taken: list[T] = []
    with contextlib.suppress(EngineUnavailable):
        while len(taken) < 1000:
            taken.append(await attempt(len(taken)))
    assert len(taken) < 1000, "the store never became full"
    return taken


class BoundedBench(SqliteBench):
    """Engines with other bounds than the suite's."""

    max_file_bytes = 0
    timeout_s = 10.0
    max_cached_channels = 1000

    def make(self, options: EngineOptions) -> SqliteEngine:
        settings = WriterSettings(
            options.retention,
            max_file_bytes=self.max_file_bytes,
            max_cached_channels=self.max_cached_channels,
            now_s=self.clock.now,
            monotonic_s=self.clock.monotonic,
            new_epoch=self._new_epoch,
        )
        return SqliteEngine(self.path, settings, timeout_s=self.timeout_s, metrics=EngineMetrics(CollectorRegistry()))


@pytest.fixture
async def bounded(tmp_path: Path) -> AsyncIterator[BoundedBench]:
    made = BoundedBench(tmp_path)
    yield made
    await made.close_all()


# Crashes.


class Confirmation(NamedTuple):
    """What an appender printed: this message is stored there."""

    topic: str
    epoch: str
    offset: int
    id: str


def appended_until_killed(path: Path, life: str) -> list[Confirmation]:
    """Let a process append, kill it in the middle, and return what it was confirmed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.engine_appender", str(path), life],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "protos")])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(CONFIRMATIONS)]
    finally:
        process.kill()
    with process.stdout:
        lines += process.stdout.readlines()
    assert process.wait() == -9
    whole = [line.split() for line in lines if line.endswith("\n")]
    return [Confirmation(topic, epoch, int(offset), message_id) for topic, epoch, offset, message_id in whole]


async def test_everything_confirmed_is_there_after_kill_9(bench: SqliteBench) -> None:
    """Three lives on one file, each killed in the middle of its appends."""
    confirmed: list[Confirmation] = []
    for life in ("first", "second", "third"):
        confirmed += await asyncio.to_thread(appended_until_killed, bench.path, life)
    assert len(confirmed) >= 3 * CONFIRMATIONS
    user = await bench.open()
    stored: set[Confirmation] = set()
    for topic in {confirmation.topic for confirmation in confirmed}:
        page = await user.read(topic, 0, 1_000_000)
        assert offsets_of(page) == list(range(1, page.head + 1))
        assert len({message.id for message in page.messages}) == page.head
        stored |= {Confirmation(topic, message.epoch, message.offset, message.id) for message in page.messages}
    assert set(confirmed) <= stored
    with contextlib.closing(sqlite3.connect(bench.path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# A full disk.


async def test_a_full_disk_refuses_and_loses_nothing(bounded: BoundedBench) -> None:
    bounded.max_file_bytes = 300_000
    user = await bounded.open()
    confirmed = [stored.offset for stored in await until_refused(lambda _: user.append(data=b"x" * 4000))]
    assert len(confirmed) > 10
    assert confirmed == list(range(1, len(confirmed) + 1))
    assert offsets_of(await user.read()) == confirmed
    with pytest.raises(EngineUnavailable) as refused:
        await user.append(data=b"x" * 4000)
    assert refused.value.safe_to_repeat
    assert offsets_of(await user.read()) == confirmed

    bounded.max_file_bytes = 0
    again = await bounded.reopen(user)
    assert offsets_of(await again.read()) == confirmed
    assert (await again.append(data=b"x" * 4000)).offset == confirmed[-1] + 1


async def test_a_message_too_large_for_the_disk_takes_no_others_with_it(bounded: BoundedBench) -> None:
    bounded.max_file_bytes = 300_000
    user = await bounded.open()
    await user.subscribe()
    large = user.submit(data=b"x" * 400_000)
    with pytest.raises(EngineUnavailable):
        await large
    await user.fill(5)
    assert user.offsets() == [1, 2, 3, 4, 5]


async def test_on_a_full_disk_the_lasting_state_is_refused_too_and_comes_back(bounded: BoundedBench) -> None:
    user = await bounded.open()
    epoch = (await user.append()).epoch
    bounded.max_file_bytes = 1  # as large as it is
    full = await bounded.reopen(user)
    threads = len(await until_refused(lambda number: full.create_thread(f"t-{number}", metadata=b"x" * 1000)))
    channels = len(await until_refused(lambda number: full.subscribe(f"tests/w1/new-{number}")))
    assert (await full.read()).epoch == epoch
    bounded.max_file_bytes = 0
    again = await bounded.reopen(full)
    assert (await again.engine.threads("tests", "w1", 1, 0)).total == threads
    assert not (await again.create_thread(f"t-{threads}"))[1]
    assert (await again.append(f"tests/w1/new-{channels}")).offset == 1


# Locks.


async def test_a_second_engine_on_the_same_store_is_refused(bench: SqliteBench, user: EngineUser) -> None:
    with pytest.raises(EngineUnavailable, match="another session service uses"):
        await bench.open()
    assert (await user.append()).offset == 1
    await user.close()
    again = await bench.open()
    assert (await again.append()).offset == 2


async def test_a_second_process_on_the_same_store_is_refused(bench: SqliteBench, user: EngineUser) -> None:
    def hold_in_another_process() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tests.support.engine_appender", str(bench.path), "second"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "protos")])},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    second = await asyncio.to_thread(hold_in_another_process)
    assert second.returncode == 1
    assert "another session service uses" in second.stderr
    assert second.stdout == ""
    assert (await user.append()).offset == 1


async def test_after_a_crash_the_lock_is_free(bench: SqliteBench) -> None:
    lock = bench.path.with_name("session.db.lock")
    lock.touch()
    user = await bench.open()
    with lock.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    await user.close()
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class HeldFile:
    """Keeps the writer from its file, as a backup tool may."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("BEGIN IMMEDIATE")

    def let_go(self) -> None:
        self._db.execute("ROLLBACK")
        self._db.close()


async def test_acknowledgements_under_way_at_the_end_are_kept(bench: SqliteBench, user: EngineUser) -> None:
    epoch = (await user.fill(5))[0].epoch
    held = HeldFile(bench.path)
    user.engine.acknowledge(TOPIC, "bob", Position(epoch, 2))
    await until(lambda: bool(user.engine._acks_in_flight))  # type: ignore[attr-defined]
    user.engine.acknowledge(TOPIC, "bob", Position(epoch, 5))
    assert await user.acknowledged() == Position(epoch, 5)
    closing = asyncio.create_task(user.close())
    await until(lambda: not user.engine._open)  # type: ignore[attr-defined]
    held.let_go()
    await closing
    assert await (await bench.open()).acknowledged() == Position(epoch, 5)


async def test_a_file_that_others_hold_makes_appends_wait_or_fail_and_then_works_again(bench: SqliteBench) -> None:
    user = await bench.open()
    await user.subscribe()
    held = HeldFile(bench.path)
    waiting = user.submit()
    with pytest.raises(EngineUnavailable):
        await waiting
    held.let_go()
    assert (await user.append()).offset == 1
    assert user.offsets() == [1]


async def test_who_waits_too_long_is_told_that_it_may_be_stored(bounded: BoundedBench) -> None:
    bounded.timeout_s = 0.3
    user = await bounded.open()
    await user.subscribe()
    held = HeldFile(bounded.path)
    late = user.submit(id="late")
    with pytest.raises(EngineTimeout) as told:
        await late
    assert not told.value.safe_to_repeat
    with pytest.raises(EngineTimeout):
        await user.create_thread()
    held.let_go()
    await until(lambda: user.offsets() == [1])
    assert [message.id for message in user.messages()] == ["late"]
    assert (await user.append(id="late")).duplicate


async def test_an_end_that_takes_too_long_confirms_nothing(bounded: BoundedBench) -> None:
    bounded.timeout_s = 0.3
    user = await bounded.open()
    held = HeldFile(bounded.path)
    late = user.submit()
    await asyncio.wait_for(user.close(), 1.5)
    with pytest.raises(EngineTimeout):
        await late
    with pytest.raises(EngineUnavailable, match="another session service uses"):
        await bounded.open()  # the first may still write
    held.let_go()


async def test_acknowledgements_that_could_not_be_saved_are_saved_later(bench: SqliteBench, user: EngineUser) -> None:
    epoch = (await user.fill(9))[0].epoch
    held = HeldFile(bench.path)
    user.engine.acknowledge(TOPIC, "bob", Position(epoch, 4))
    user.engine.acknowledge(TOPIC, "carol", Position(epoch, 1))
    await until(lambda: bool(user.engine._acks_in_flight))  # type: ignore[attr-defined]
    user.engine.acknowledge(TOPIC, "bob", Position(epoch, 2))
    user.engine.acknowledge(TOPIC, "carol", Position(epoch, 5))
    await until(lambda: not user.engine._acks_in_flight)  # type: ignore[attr-defined]
    held.let_go()
    again = await bench.reopen(user)
    assert [await again.acknowledged(who) for who in ("bob", "carol")] == [Position(epoch, 4), Position(epoch, 5)]


# Reading.


async def test_a_read_that_takes_too_long_is_given_up(bounded: BoundedBench) -> None:
    bounded.timeout_s = 0.2
    user = await bounded.open()
    go_on = threading.Event()
    with pytest.raises(EngineTimeout):
        await user.engine._ask(lambda db: go_on.wait(20))  # type: ignore[attr-defined]
    with pytest.raises(EngineTimeout):
        await user.read()
    go_on.set()
    assert (await user.read()).head == 0


async def test_too_many_reads_are_refused(user: EngineUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("session_service.adapters.engine_sqlite.reader.MAX_WAITING_READS", 3)
    results = await asyncio.gather(*[user.read() for _ in range(5)], return_exceptions=True)
    assert [isinstance(result, LimitExceeded) for result in results] == [False] * 3 + [True] * 2
    assert (await user.read()).head == 0


async def test_a_read_that_failed_does_not_fail_for_ever(user: EngineUser, monkeypatch: pytest.MonkeyPatch) -> None:
    await user.append()

    def broken(path: Path) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as patched:
        patched.setattr("session_service.adapters.engine_sqlite.reader.open_reader", broken)
        with pytest.raises(EngineUnavailable):
            await user.read()
    assert offsets_of(await user.read()) == [1]


# Many channels, and none at all.


async def test_channels_that_were_forgotten_go_on_where_they_stood(bounded: BoundedBench) -> None:
    bounded.max_cached_channels = 3
    user = await bounded.open()
    topics = [f"tests/w1/chat-{number}" for number in range(10)]
    epochs = {topic: (await user.append(topic)).epoch for topic in topics}
    for turn in (2, 3):
        stored = await asyncio.gather(*[user.submit(topic) for topic in topics])
        assert [answer.offset for answer in stored] == [turn] * 10
        assert [answer.epoch for answer in stored] == list(epochs.values())


async def test_an_idle_engine_looks_at_retention_too(bench: SqliteBench) -> None:
    rule = RetentionRule(10, 60.0, 1 << 30)
    user = await bench.open(default_rule=rule)
    await user.fill(3)
    bench.clock.pass_s(61)

    async def emptied() -> bool:
        return (await user.read()).low == 3

    await eventually(emptied)


# Commits whose end nobody knows.


class DoubtfulDisk:
    """A connection whose next commits fail with an I/O error: before they were made, or after."""

    fails: ClassVar[list[str]] = []

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql != "COMMIT" or not self.fails:
            return self._db.execute(sql, *values)
        if self.fails.pop() == "after":
            self._db.execute(sql)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error


@pytest.fixture
def doubtful_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[DoubtfulDisk]]:
    """Has the writer work on such connections."""

    def open_doubtful(*arguments: Any) -> DoubtfulDisk:
        return DoubtfulDisk(open_writer(*arguments))

    monkeypatch.setattr("session_service.adapters.engine_sqlite.writer.open_writer", open_doubtful)
    yield DoubtfulDisk
    assert not DoubtfulDisk.fails


@pytest.mark.parametrize("fails", [["before"], ["after"], ["after", "after"], ["before", "before", "after"]])
async def test_after_an_io_error_nobody_is_told_what_is_not_known(
    bench: SqliteBench, doubtful_disk: type[DoubtfulDisk], fails: list[str]
) -> None:
    """The first failure, which stands last, hits the appends, the others the looks at what became of them."""
    stored = fails[-1] == "after"
    user = await bench.open()
    await user.subscribe()
    await user.append()
    doubtful_disk.fails[:] = fails
    doubtful = [user.submit(id=f"doubtful-{number}") for number in range(3)]
    for promise in doubtful:
        with pytest.raises(EngineTimeout):
            await promise
    await until(lambda: not doubtful_disk.fails)
    repeated = [await user.append(id=f"doubtful-{number}") for number in range(3)]
    assert [answer.offset for answer in repeated] == [2, 3, 4]
    assert [answer.duplicate for answer in repeated] == [stored] * 3
    await user.append()
    await until(lambda: user.offsets() == [1, 2, 3, 4, 5])
    assert user.messages() == list((await user.read()).messages)


async def test_a_defect_in_one_command_takes_no_others_with_it(user: EngineUser) -> None:
    await user.subscribe()
    before, bad, after = user.submit(), user.submit(data="no bytes and no text: \ud800"), user.submit()  # type: ignore[arg-type]
    with pytest.raises(InternalError):
        await bad
    assert [(await before).offset, (await after).offset] == [1, 2]
    assert user.offsets() == [1, 2]


# Files that cannot be used.


def assert_nothing_is_left_open(folder: Path) -> None:
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = descriptor.readlink()
        except FileNotFoundError:
            continue
        assert not target.is_relative_to(folder), target


async def test_a_file_that_is_no_database(bench: SqliteBench, tmp_path: Path) -> None:
    bench.path.write_bytes(b"this is no database at all, " * 400)
    with pytest.raises(EngineUnavailable, match=r"session\.db cannot be opened: "):
        await bench.open()
    assert bench.path.read_bytes().startswith(b"this is no database")
    assert_nothing_is_left_open(tmp_path)


async def test_a_database_of_somebody_else(bench: SqliteBench, tmp_path: Path) -> None:
    with sqlite3.connect(bench.path) as other:
        other.execute("CREATE TABLE messages (theirs TEXT)")
    other.close()
    with pytest.raises(EngineUnavailable, match=r"session\.db cannot be opened: "):
        await bench.open()
    assert_nothing_is_left_open(tmp_path)


async def test_a_file_of_a_newer_release(bench: SqliteBench, tmp_path: Path) -> None:
    await (await bench.open()).close()
    with sqlite3.connect(bench.path) as newer:
        newer.execute(f"PRAGMA user_version = {len(migrations()) + 8}")
    newer.close()
    with pytest.raises(EngineUnavailable, match=f"has schema {len(migrations()) + 8}, this release knows"):
        await bench.open()
    assert_nothing_is_left_open(tmp_path)


async def test_a_file_that_was_cut_off_is_noticed_and_confirms_nothing(bench: SqliteBench) -> None:
    user = await bench.open()
    await user.fill(200, data=b"x" * 500)
    await user.close()
    size = bench.path.stat().st_size
    os.truncate(bench.path, size // 2)
    with pytest.raises(EngineUnavailable):  # noqa: PT012 - at the start or at the first use
        again = await bench.open()
        await again.read()
        await again.append()


async def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    bench = SqliteBench(tmp_path / "data")
    with pytest.raises(EngineUnavailable, match="data"):
        await bench.open()


@pytest.fixture
def readable_folder() -> Iterator[Path]:
    """A folder that any user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def as_ordinary_user() -> Iterator[Callable[[Path, int], None]]:
    """Makes the files of a folder readable only, sets the folder's mode, and lays root's privileges down until the end."""
    before = os.geteuid()

    def become(folder: Path, mode: int) -> None:
        for file in folder.iterdir():
            file.chmod(0o444)
            if file.suffix == ".lock":
                file.unlink()
        folder.chmod(mode)
        os.seteuid(NOBODY if before == 0 else before)

    yield become
    os.seteuid(before)


async def test_a_folder_that_may_not_be_written(
    readable_folder: Path, as_ordinary_user: Callable[[Path, int], None]
) -> None:
    as_ordinary_user(readable_folder, 0o555)
    with pytest.raises(EngineUnavailable, match="Permission denied"):
        await SqliteBench(readable_folder).open()


async def test_a_file_that_may_not_be_written(
    readable_folder: Path, as_ordinary_user: Callable[[Path, int], None]
) -> None:
    bench = SqliteBench(readable_folder)
    await (await bench.open()).close()
    as_ordinary_user(readable_folder, 0o777)
    with pytest.raises(EngineUnavailable, match=r"session\.db cannot be opened: "):
        await bench.open()


async def test_an_engine_that_did_not_start_can_be_closed(tmp_path: Path) -> None:
    bench = SqliteBench(tmp_path)
    bench.path.write_bytes(b"no database, " * 400)
    user = EngineUser(bench, bench.make(EngineOptions()))
    with pytest.raises(EngineUnavailable):
        await user.engine.start(user)
    await user.close()
