"""`python -m ws_edge`: the edge as a process."""

from __future__ import annotations

import asyncio
import sys

from service_runtime.process import run_service
from service_runtime.settings import load_settings
from ws_edge.app import Edge
from ws_edge.settings import EdgeSettings


def main() -> int:
    """Run the edge; returns the exit code."""
    settings = load_settings(
        EdgeSettings, sys.argv[1:], prog="python -m ws_edge", description="The WebSocket edge of Tidewire."
    )

    async def serve(stop: asyncio.Event) -> None:
        await Edge(settings).serve(stop)

    return run_service("edge", settings, serve)


if __name__ == "__main__":
    sys.exit(main())
