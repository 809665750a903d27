"""The tasks of an event loop, and where each of them stands. Tasks that stand at one place are one entry."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from types import FrameType
from typing import Any, Final

from service_runtime.debugging.places import place

MAX_NAMES: Final = 10
MAX_DEPTH: Final = 50


def tasks_by_place(tasks: Iterable[asyncio.Task[Any]], limit: int) -> list[Mapping[str, Any]]:
    """Return groups of tasks: `count`, some `names`, and the `stack`, outermost call first; the largest groups first.

    Args:
        tasks: Of the loop that this is called in.
        limit: How many groups at most.
    """
    groups: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for task in tasks:
        groups[tuple(_stack(task))].append(task.get_name())
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return [
        {"count": len(names), "names": sorted(names)[:MAX_NAMES], "stack": list(stack)}
        for stack, names in ordered[:limit]
    ]


def _stack(task: asyncio.Task[Any]) -> Iterator[str]:
    """Yield where a task's coroutine stands, where what it awaits stands, and so on (a task itself knows the first only)."""
    awaited: Any = task.get_coro()
    for _ in range(MAX_DEPTH):
        frame = _first(awaited, "cr_frame", "gi_frame", "ag_frame")
        if isinstance(frame, FrameType):
            yield place(frame)
        awaited = _first(awaited, "cr_await", "gi_yieldfrom", "ag_await")
        if awaited is None:
            return


def _first(thing: Any, *names: str) -> Any:
    """Return the first attribute that is there."""
    return next((found for name in names if (found := getattr(thing, name, None)) is not None), None)
