"""The command `python -m session_service`: serve, `renew-epochs`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from service_runtime.logs import configure_logging
from service_runtime.process import run_service
from service_runtime.settings import load_settings
from session_service.app import SERVICE, SessionServer, renew_epochs
from session_service.core.errors import SessionError
from session_service.settings import SessionSettings

_DESCRIPTION: Final = """The session service of Tidewire: channels, confirmed delivery, presence, history, over gRPC.

  python -m session_service               serve
  python -m session_service renew-epochs  make a store that was put back from a backup fit for use, end
"""
_RENEW: Final = "renew-epochs"


def main(argv: Sequence[str]) -> int:
    """Run a command and return its exit code: 0 done, 1 failed, 2 wrong settings."""
    renews = argv[:1] == [_RENEW]
    settings = load_settings(
        SessionSettings, argv[1:] if renews else argv, prog="python -m session_service", description=_DESCRIPTION
    )

    async def serve(stop: asyncio.Event) -> None:
        await SessionServer(settings).serve(stop)

    try:
        if not renews:
            return run_service(SERVICE, settings, serve)
        configure_logging(SERVICE, settings)
        sys.stderr.write(f"{asyncio.run(renew_epochs(settings))} channels have another epoch\n")
    except SessionError as error:
        sys.stderr.write(f"{SERVICE}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
