"""Tasks, and where they stand."""

from __future__ import annotations

import asyncio

from service_runtime.debugging.task_list import tasks_by_place
from service_runtime.tasks import end_tasks


async def wait_inside(event: asyncio.Event) -> None:
    await event.wait()


async def wait_outside(event: asyncio.Event) -> None:
    await wait_inside(event)


async def test_a_task_is_shown_with_all_that_it_waits_in() -> None:
    task = asyncio.create_task(wait_outside(asyncio.Event()), name="waiter")
    await asyncio.sleep(0)
    try:
        (group,) = tasks_by_place([task], 10)
        assert (group["count"], group["names"]) == (1, ["waiter"])
        functions = [place.partition(" ")[0] for place in group["stack"]]
        assert functions == ["wait_outside", "wait_inside", "Event.wait"]
        assert "tests/unit/service_runtime/debugging/test_task_list.py:" in group["stack"][0]
    finally:
        await end_tasks(task)


async def test_tasks_at_one_place_are_one_group_and_the_largest_comes_first() -> None:
    event = asyncio.Event()
    many = [asyncio.create_task(wait_inside(event), name=f"many-{n:02}") for n in range(12)]
    one = asyncio.create_task(wait_outside(event), name="one")
    await asyncio.sleep(0)
    try:
        first, second = tasks_by_place([one, *many], 10)
        assert (first["count"], second["count"]) == (12, 1)
        assert first["names"] == [f"many-{n:02}" for n in range(10)]
        assert [group["count"] for group in tasks_by_place([one, *many], 1)] == [12]
    finally:
        await end_tasks(one, *many)


async def test_a_task_that_has_not_begun_stands_at_its_beginning() -> None:
    task = asyncio.create_task(wait_outside(asyncio.Event()))
    try:
        (group,) = tasks_by_place([task], 1)
        assert [place.partition(" ")[0] for place in group["stack"]] == ["wait_outside"]
    finally:
        await end_tasks(task)
