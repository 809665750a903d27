"""Runs the checks of targets that wait for something: each input in a world of its own, on one event loop."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.fuzz.target import Check

# A file system in memory, where there is one: a world is made for each input.
_MEMORY: Final = Path("/dev/shm")
DEADLINE_S: Final = 20.0


@contextmanager
def on_a_loop(check: Callable[[bytes, Path], Awaitable[None]]) -> Iterator[Check]:
    """Give a check that runs another one, which is given the input and an empty folder."""
    with (
        tempfile.TemporaryDirectory(prefix="tidewire-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None) as place,
        asyncio.Runner() as runner,
    ):
        folder = Path(place) / "world"

        async def tried(data: bytes) -> None:
            async with asyncio.timeout(DEADLINE_S):
                await check(data, folder)

        def run(data: bytes) -> None:
            folder.mkdir()
            try:
                runner.run(tried(data))
            finally:
                shutil.rmtree(folder)

        yield run
