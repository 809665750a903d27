"""`python -m ws_edge`: the edge as a process, or as several."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence

from service_runtime.process import announce_ready, run_service
from service_runtime.settings import load_settings
from ws_edge.adapters.worker_processes import WorkerFailedError, WorkerPlan, running_workers
from ws_edge.app import Edge
from ws_edge.settings import EdgeSettings

EXIT_FAILED = 1


def main(arguments: Sequence[str]) -> int:
    """Run the edge; returns the exit code."""
    settings = load_settings(
        EdgeSettings, arguments, prog="python -m ws_edge", description="The WebSocket edge of Tidewire."
    )

    async def serve(stop: asyncio.Event) -> None:
        if settings.workers > 1:
            await _serve_by_workers(settings, arguments, stop)
        else:
            with _tied_to_parent(settings, stop):
                await Edge(settings).serve(stop)

    name = f"edge-{settings.worker}" if settings.worker else "edge"
    try:
        return run_service(name, settings, serve)
    except WorkerFailedError as failure:
        sys.stderr.write(f"edge: {failure}\n")
        return EXIT_FAILED


async def _serve_by_workers(settings: EdgeSettings, arguments: Sequence[str], stop: asyncio.Event) -> None:
    plan = WorkerPlan(
        arguments,
        settings.workers,
        settings.host,
        settings.port,
        {"metrics-port": settings.metrics_port, "admin-port": settings.admin_port},
        settings.drain_wait_s + settings.drain_s,
    )
    async with running_workers(plan) as (port, workers):
        announce_ready(settings, "edge", port=port, workers=workers)
        await stop.wait()


@contextlib.contextmanager
def _tied_to_parent(settings: EdgeSettings, stop: asyncio.Event) -> Iterator[None]:
    """As one of several workers, stop when the process that started them has ended: then standard input does."""
    if not settings.worker:
        yield
        return
    loop, standard_input = asyncio.get_running_loop(), sys.stdin.fileno()

    def read() -> None:
        if not os.read(standard_input, 1):
            loop.remove_reader(standard_input)
            stop.set()

    loop.add_reader(standard_input, read)
    try:
        yield
    finally:
        loop.remove_reader(standard_input)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
