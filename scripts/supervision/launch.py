"""Starts a supervised run, or says everything that stands in its way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from scripts.exit_codes import FAILED
from scripts.supervision.output import Output
from scripts.supervision.ports import port_problems
from scripts.supervision.run_record import AlreadyRunningError, RunRecord
from scripts.supervision.services import ServicePlan
from scripts.supervision.supervisor import Supervisor


def launch(plans: Sequence[ServicePlan], output: Output, data_dir: Path, most_crashes: int | None = None) -> int:
    """Run the services until a signal comes or they cannot go on.

    Args:
        plans: The services.
        output: What is shown.
        data_dir: The folder of the run's record.
        most_crashes: Of one service in a minute, before everything is given up; None: no bound.

    Returns:
        The exit code.
    """
    record = RunRecord(data_dir)
    problems = [*_claim(record, data_dir), *port_problems(plans)]
    try:
        if problems:
            for problem in problems:
                output.say("error", problem)
            return FAILED
        return asyncio.run(_run(plans, output, record, most_crashes))
    finally:
        record.close()


async def _run(plans: Sequence[ServicePlan], output: Output, record: RunRecord, most_crashes: int | None) -> int:
    return await Supervisor(plans, output, record, most_crashes).run()


def _claim(record: RunRecord, data_dir: Path) -> list[str]:
    try:
        record.open()
    except AlreadyRunningError as error:
        return [str(error)]
    except OSError as error:
        return [f"the data folder {data_dir} cannot be used: {error.strerror}; choose another with --data-dir"]
    return []
