"""One child process: started, its lines read, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

TETHER: Final = Path(__file__).with_name("tether.py")
MAX_LINE_BYTES: Final = 256 * 1024
TAIL_LINES: Final = 20
POLL_S: Final = 0.02
# How long output may still come after the process has ended, if a grandchild holds the pipe.
LAST_WORDS_S: Final = 0.5


class EndedEarlyError(Exception):
    """The process ended before it listened."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"ended with {code}")


class Child:
    """A service's process, in a session of its own so that Ctrl-C at the terminal does not reach it.

    Args:
        process: It.
        ready_file: Where it says that it listens.
        on_line: Called with each line of its output.
    """

    def __init__(self, process: asyncio.subprocess.Process, ready_file: Path, on_line: Callable[[str], None]) -> None:
        self._process = process
        self._ready_file = ready_file
        self._on_line = on_line
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, command: Sequence[str], variables: Mapping[str, str], ready_file: Path, on_line: Callable[[str], None]
    ) -> Child:
        """Start a process."""
        ready_file.unlink(missing_ok=True)  # noqa: ASYNC240 - a local file
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *command),
            env=variables,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(process, ready_file, on_line)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def listening(self) -> dict[str, Any]:
        """Return what it says of itself when it listens.

        Raises:
            EndedEarlyError: it ends before.
        """
        while not self._ready_file.exists():
            if not self.running:
                raise EndedEarlyError(await self.ended())
            await asyncio.sleep(POLL_S)
        facts: dict[str, Any] = json.loads(self._ready_file.read_text())
        return facts

    async def ended(self) -> int:
        """Return its exit code, negative for a signal, when it has ended and its last line is read."""
        code = await self._process.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await asyncio.shield(self._reading)
        self._reading.cancel()
        return code

    def terminate(self) -> None:
        """Ask it to end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        while chunk := await self._process.stdout.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                lines.append(rest)
                rest = b""
            for line in lines:
                self._take(line)
        if rest:
            self._take(rest)

    def _take(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text:
            self.tail.append(text)
            self._on_line(text)
