"""The life of a service's process: logs, event loop, signals, `ready`, and an orderly end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from service_runtime.garbage import collect_at_times, spare_what_is_there
from service_runtime.listening import PortTakenError
from service_runtime.logs import configure_logging, get_logger
from service_runtime.open_files import raise_limit
from service_runtime.settings import ServiceSettings, SettingsError
from service_runtime.tasks import end_tasks

log = get_logger("service_runtime.process")


def run_service(service: str, settings: ServiceSettings, main: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """Run a service until it is told to stop.

    Args:
        service: Named on every log line.
        settings: Log form and level.
        main: The service; it returns soon after the event that it is given is set (SIGTERM, SIGINT).

    Returns:
        The exit code: 0 for a clean stop, 1 if it could not start or go on.
    """
    configure_logging(service, settings)
    raise_limit()

    async def body() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_note_fault)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        collecting = asyncio.create_task(collect_at_times())
        try:
            await main(stop)
        finally:
            await end_tasks(collecting)

    spare_what_is_there()
    try:
        uvloop.run(body())
    except (PortTakenError, SettingsError) as exc:
        sys.stderr.write(f"{service}: {exc}\n")
        return 1
    log.info("stopped")
    return 0


def _note_fault(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what was raised where nobody could catch it.

    When the other end of a TLS connection is killed, uvloop may write a last record to the closed transport. It calls that a
    fatal error; whoever uses the connection is told of its end, as of any other.
    """
    if isinstance(context.get("exception"), RuntimeError) and "SSL protocol" in context["message"]:
        log.info("TLS connection ended before all was written", error=str(context["exception"]))
    else:
        loop.default_exception_handler(context)


def announce_ready(settings: ServiceSettings, service: str, **facts: object) -> None:
    """Say that the service listens: a log line, and the ready file when one is asked for.

    Args:
        settings: Names the file.
        service: Which service.
        facts: More for the reader, e.g. `port`.
    """
    log.info("ready", **facts)
    if settings.ready_file is None:
        return
    text = json.dumps({"service": service, "pid": os.getpid(), **facts})
    draft = settings.ready_file.with_name(f"{settings.ready_file.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(settings.ready_file)
