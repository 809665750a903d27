"""How late messages come, by a process of its own: in the one that makes the load they would wait for that one.

`python -m tests.soak.latency ADDRESS WORKSPACE [ADDRESS WORKSPACE]...` is that process. At times that are due by chance, so
that it keeps no step with anything, it publishes to a channel of its own on one of the edges, and counts from when each
message was due. A line of input is the number of the edge, from 0, that is measured from now on. It ends with its input.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from typing import NamedTuple

from tests.soak.traffic import KEY
from tests.stress.caller import Caller
from tests.stress.raw_client import ServerFrame
from tests.support.protocol_client import new_name

RATE = 100.0
REPORT_S = 1.0
OVERDUE_S = 30.0
END_DEADLINE_S = 10.0
# Of a line of what was measured: also when nothing came until it was nearly overdue.
LINE_BYTES = 1024 * 1024


class Measured(NamedTuple):
    """One message.

    Args:
        edge: Number of the edge, from 0.
        due_s: When it was due, on the monotonic clock, which all processes of a machine share.
        latency_s: How long after that it came.
    """

    edge: int
    due_s: float
    latency_s: float


class LatencyProbe:
    """Starts the process, as a context manager, and has what it measured.

    Args:
        where: Address of each edge, and the workspace where its channel is. The first is measured.
    """

    def __init__(self, *where: tuple[str, str]) -> None:
        self._where = where
        self._measured: list[Measured] = []
        self._process: Process
        self._reading: asyncio.Task[None]

    @property
    def pid(self) -> int:
        return self._process.pid

    async def __aenter__(self) -> LatencyProbe:
        arguments = [argument for pair in self._where for argument in pair]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, *arguments, stdin=PIPE, stdout=PIPE, env=os.environ, limit=LINE_BYTES
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(END_DEADLINE_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
        await self._reading

    def turn_to(self, edge: int) -> None:
        """Measure another edge from now on."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{edge}\n".encode())

    def take(self) -> list[Measured]:
        """Return what was measured since the last time; fail if the process is gone."""
        assert self._process.returncode is None, "what measures latency is gone"
        taken, self._measured = self._measured, []
        return taken

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._measured += (Measured(*one) for one in json.loads(line))


class Pulse:
    """Publishes, and hears it: what the process does.

    Attributes:
        edge: The number of the one that is measured.

    Args:
        where: As `LatencyProbe` has it.
    """

    def __init__(self, where: Sequence[tuple[str, str]]) -> None:
        self.edge = 0
        self._where = where
        self._channel = new_name("pulse")
        self._due: dict[str, tuple[int, float]] = {}
        self._measured: list[Measured] = []
        self._rng = random.Random(9)

    async def beat(self) -> None:
        """Go on until cancelled."""
        callers = [
            await Caller.open(address, KEY, workspace, "pulse", self._hear, channels=[self._channel])
            for address, workspace in self._where
        ]
        due_s = time.monotonic()
        for number in itertools.count():
            due_s += self._rng.expovariate(RATE)
            await asyncio.sleep(due_s - time.monotonic())
            self._due[f"p-{number}"] = (self.edge, due_s)
            callers[self.edge].publish(self._channel, "x", f"p-{number}").add_done_callback(_confirmed)

    def _hear(self, frame: ServerFrame) -> None:
        edge, due_s = self._due.pop(frame.id)
        self._measured.append(Measured(edge, due_s, time.monotonic() - due_s))

    async def report(self) -> None:
        """Print what was measured, every so often; fail when a message does not come."""
        while True:
            await asyncio.sleep(REPORT_S)
            overdue = [due_s for _, due_s in self._due.values() if due_s < time.monotonic() - OVERDUE_S]
            assert not overdue, f"{len(overdue)} messages did not come in {OVERDUE_S:g} s"
            taken, self._measured = self._measured, []
            sys.stdout.write(json.dumps(taken) + "\n")
            sys.stdout.flush()

    async def obey(self, reader: asyncio.StreamReader) -> None:
        """Turn to the edges that the lines of the input name, until it ends."""
        async for line in reader:
            self.edge = int(line)


def _confirmed(answer: asyncio.Future[ServerFrame]) -> None:
    answer.result()  # an error is raised in the loop's handler, and its message does not come


async def _main(*arguments: str) -> None:
    pulse = Pulse(list(zip(arguments[::2], arguments[1::2], strict=True)))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = {asyncio.create_task(work) for work in (pulse.beat(), pulse.report(), pulse.obey(reader))}
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for task in done:
        task.result()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
