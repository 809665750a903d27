"""A signal ends a supervised run, whatever it does at that moment."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from scripts.exit_codes import DONE
from scripts.start_options import Wishes
from scripts.supervision.run_record import RunRecord
from scripts.supervision.services import plan_services
from scripts.supervision.supervisor import Supervisor

DEADLINE_S = 10.0


class NoOutput:
    """Shows nothing."""

    def service_line(self, service: str, line: str) -> None:
        """Show nothing."""

    def say(self, level: str, text: str, **facts: object) -> None:
        """Show nothing."""

    def ready(self, addresses: Mapping[str, str], took_s: float) -> None:
        """Show nothing."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_cancellation_that_is_swallowed_does_not_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:  # as gRPC does, and `asyncio.wait_for` before Python 3.12
            await asyncio.Event().wait()

    record = RunRecord(tmp_path)
    record.open()
    plans = plan_services(Wishes({"auth": 0, "session": 0, "edge": 0}, tmp_path, "development"))
    supervisor = Supervisor(plans, NoOutput(), record)
    monkeypatch.setattr(supervisor, "_work", work)
    running = asyncio.create_task(supervisor.run())
    await begun.wait()
    os.kill(os.getpid(), number)
    await asyncio.wait({running}, timeout=DEADLINE_S)
    assert running.done()
    assert running.result() == DONE
    record.close()
