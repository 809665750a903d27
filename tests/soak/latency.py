"""How late messages come, by a process of its own: in the one that makes the load they would wait for that one.

`python -m tests.soak.latency ADDRESS WORKSPACE` is that process. It publishes to a channel of its own, at times that are due by
chance, so that it keeps no step with anything, and counts from when each was due. It ends with its input.
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


class LatencyProbe:
    """Starts the process, as a context manager, and has what it measured.

    Args:
        address: Of the edge.
        workspace: Where its channel is.
    """

    def __init__(self, address: str, workspace: str) -> None:
        self._where = (address, workspace)
        self._latencies_s: list[float] = []
        self._process: Process
        self._reading: asyncio.Task[None]

    @property
    def pid(self) -> int:
        return self._process.pid

    async def __aenter__(self) -> LatencyProbe:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, *self._where, stdin=PIPE, stdout=PIPE, env=os.environ, limit=LINE_BYTES
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

    def take(self) -> list[float]:
        """Return the latencies since the last time, in seconds; fail if the process is gone."""
        assert self._process.returncode is None, "what measures latency is gone"
        taken, self._latencies_s = self._latencies_s, []
        return taken

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._latencies_s += json.loads(line)


class Pulse:
    """Publishes, and hears it: what the process does."""

    def __init__(self) -> None:
        self.channel = new_name("pulse")
        self._due_s: dict[str, float] = {}
        self._latencies_s: list[float] = []
        self._rng = random.Random(9)

    async def beat(self, address: str, workspace: str) -> None:
        """Go on until cancelled."""
        caller = await Caller.open(address, KEY, workspace, "pulse", self._hear, channels=[self.channel])
        due_s = time.monotonic()
        for number in itertools.count():
            due_s += self._rng.expovariate(RATE)
            await asyncio.sleep(due_s - time.monotonic())
            self._due_s[f"p-{number}"] = due_s
            caller.publish(self.channel, "x", f"p-{number}").add_done_callback(_confirmed)

    def _hear(self, frame: ServerFrame) -> None:
        self._latencies_s.append(time.monotonic() - self._due_s.pop(frame.id))

    async def report(self) -> None:
        """Print what was measured, every so often; fail when a message does not come."""
        while True:
            await asyncio.sleep(REPORT_S)
            overdue = [due_s for due_s in self._due_s.values() if due_s < time.monotonic() - OVERDUE_S]
            assert not overdue, f"{len(overdue)} messages did not come in {OVERDUE_S:g} s"
            taken, self._latencies_s = self._latencies_s, []
            sys.stdout.write(json.dumps(taken) + "\n")
            sys.stdout.flush()


def _confirmed(answer: asyncio.Future[ServerFrame]) -> None:
    answer.result()  # an error is raised in the loop's handler, and its message does not come


async def _main(address: str, workspace: str) -> None:
    pulse = Pulse()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = {asyncio.create_task(work) for work in (pulse.beat(address, workspace), pulse.report())}
    tasks.add(asyncio.create_task(_until_end(reader)))
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for task in done:
        task.result()


async def _until_end(reader: asyncio.StreamReader) -> None:
    await reader.read()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
