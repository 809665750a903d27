"""Background tasks end when they are told to, and none dies in silence."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from service_runtime import tasks
from service_runtime.tasks import end_tasks


class Log:
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        self.errors: list[dict[str, Any]] = []

    def error(self, words: str, **fields: Any) -> None:
        self.errors.append({"words": words, **fields})


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(tasks, "log", log)
    return log


async def test_a_task_that_runs_is_cancelled(log: Log) -> None:
    task = asyncio.create_task(asyncio.Event().wait())
    await end_tasks(task)
    assert task.cancelled()
    assert log.errors == []


async def test_a_task_that_swallows_a_cancellation_is_cancelled_again(log: Log) -> None:
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)  # let it begin
    await end_tasks(task, again_s=0.001)
    assert task.cancelled()
    assert log.errors == []


async def test_a_task_that_came_to_its_end_is_no_matter(log: Log) -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    await end_tasks(task)
    assert log.errors == []


async def test_a_task_that_died_is_told_of(log: Log) -> None:
    async def die() -> None:
        raise ZeroDivisionError("in the background")

    task = asyncio.create_task(die(), name="the watch")
    await asyncio.wait([task])
    await end_tasks(task)
    assert [(each["task"], type(each["exc_info"])) for each in log.errors] == [("the watch", ZeroDivisionError)]


async def test_a_task_that_dies_of_its_end_is_told_of(log: Log) -> None:
    async def dies_when_cancelled() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("cannot close")

    task = asyncio.create_task(dies_when_cancelled())
    await asyncio.sleep(0)  # let it begin
    await end_tasks(task)
    assert [type(each["exc_info"]) for each in log.errors] == [OSError]
