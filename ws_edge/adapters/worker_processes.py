"""Several edge processes on one port: started, watched, started again when they die, and drained together.

They are spawned, so that each has a gRPC of its own, and share the port by SO_REUSEPORT: the kernel spreads new connections
over them. This process serves nobody. It holds the port, so that nobody else gets it while a worker is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from service_runtime.listening import PortTakenError
from service_runtime.logs import get_logger
from service_runtime.tasks import end_tasks

FIRST_DELAY_S: Final = 0.1
MOST_DELAY_S: Final = 5.0
# A worker that lived for so long is well: its next death is a first one again.
CALM_S: Final = 10.0
READY_TIMEOUT_S: Final = 60.0
# Beyond the time that a drain takes.
END_GRACE_S: Final = 15.0
_POLL_S: Final = 0.05

log = get_logger("ws_edge.workers")


class WorkerFailedError(Exception):
    """A worker ended before it had ever listened."""


@dataclass(frozen=True)
class WorkerPlan:
    """What is alike for all workers.

    Args:
        arguments: Flags that this process was given.
        count: How many.
        host: Where they listen.
        port: Where they listen; 0: any free port.
        own_ports: By flag, ports of which each has one; those of the first, those of the others are behind it. 0: any, -1:
            none.
        drain_s: How long a drain takes, in seconds.
    """

    arguments: Sequence[str]
    count: int
    host: str
    port: int
    own_ports: Mapping[str, int]
    drain_s: float


class Worker:
    """One place for a worker, in which one after the other may live.

    Args:
        number: From 1 on.
        command: Starts it.
        ready_file: Which it writes when it listens.
    """

    def __init__(self, number: int, command: Sequence[str], ready_file: Path) -> None:
        self.number = number
        self._command = command
        self._ready_file = ready_file
        self._process: Process | None = None
        self._stopping = False

    async def run(self) -> None:
        """Keep one alive until `stop`."""
        delay_s, loop = FIRST_DELAY_S, asyncio.get_running_loop()
        while not self._stopping:
            began_s = loop.time()
            # The worker ends when its standard input does: when this process has ended, in whatever way.
            self._process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE)
            code = await self._process.wait()
            if self._stopping:
                return
            if loop.time() - began_s >= CALM_S:
                delay_s = FIRST_DELAY_S
            log.error("a worker has died", worker=self.number, code=code, again_in_s=delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(MOST_DELAY_S, 2 * delay_s)

    async def ready(self) -> dict[str, Any]:
        """Return what the worker says of itself, when it listens.

        Raises:
            WorkerFailedError: It ended before that.
        """
        while not self._ready_file.exists():
            if self._process is not None and self._process.returncode is not None:
                raise WorkerFailedError(f"worker {self.number} ended with {self._process.returncode}")
            await asyncio.sleep(_POLL_S)
        return dict(json.loads(self._ready_file.read_text()))

    async def stop(self, grace_s: float) -> None:
        """Ask it to drain, and return when it has ended; one that takes longer than `grace_s` seconds is killed."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(grace_s):
                await process.wait()
        except TimeoutError:
            log.error("a worker does not end, and is killed", worker=self.number)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def running_workers(plan: WorkerPlan) -> AsyncIterator[tuple[int, list[dict[str, Any]]]]:
    """Run workers; yields the port and what each worker said of itself, and drains them at the end.

    Raises:
        PortTakenError: Nobody can listen there.
        WorkerFailedError: A worker ended before it had ever listened, or did not listen in time.
    """
    with _held_port(plan.host, plan.port) as port, tempfile.TemporaryDirectory(prefix="tidewire-") as folder:
        workers = [_worker(plan, number, port, Path(folder)) for number in range(1, plan.count + 1)]
        living = [asyncio.create_task(worker.run()) for worker in workers]
        try:
            yield port, await _all_ready(workers)
        finally:
            await asyncio.gather(*(worker.stop(plan.drain_s + END_GRACE_S) for worker in workers))
            await end_tasks(*living)


async def _all_ready(workers: Sequence[Worker]) -> list[dict[str, Any]]:
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            return [await worker.ready() for worker in workers]
    except TimeoutError:
        raise WorkerFailedError(f"not all workers listen after {READY_TIMEOUT_S:.0f} s") from None


def _worker(plan: WorkerPlan, number: int, port: int, folder: Path) -> Worker:
    ready_file = folder / f"worker-{number}"
    own = {
        "workers": 1,
        "worker": number,
        "port": port,
        **{flag: first + number - 1 if first > 0 else first for flag, first in plan.own_ports.items()},
        "ready-file": ready_file,
    }
    flags = [f"--{name}={value}" for name, value in own.items()]
    return Worker(number, [sys.executable, "-m", "ws_edge", *plan.arguments, *flags], ready_file)


@contextlib.contextmanager
def _held_port(host: str, port: int) -> Iterator[int]:
    """Bind the port without listening: no connection comes here."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            holder.bind((host, port))
        except OSError:
            raise PortTakenError(host, port) from None
        yield int(holder.getsockname()[1])
