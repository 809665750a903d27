"""`python -m session_service`: the session service as a process."""

from __future__ import annotations

import asyncio
import sys

from service_runtime.process import run_service
from service_runtime.settings import load_settings
from session_service.app import SERVICE, SessionServer
from session_service.core.errors import SessionError
from session_service.settings import SessionSettings


def main() -> int:
    """Run the session service; returns the exit code."""
    settings = load_settings(
        SessionSettings,
        sys.argv[1:],
        prog="python -m session_service",
        description="The session service of Tidewire: channels, confirmed delivery, presence, history, over gRPC.",
    )

    async def serve(stop: asyncio.Event) -> None:
        await SessionServer(settings).serve(stop)

    try:
        return run_service(SERVICE, settings, serve)
    except SessionError as error:
        sys.stderr.write(f"{SERVICE}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
