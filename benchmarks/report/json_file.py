"""Results as a JSON file, every sample included."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.report.machine import Machine
from benchmarks.report.target_table import target_values
from benchmarks.rounds import Contender, Result
from benchmarks.targets import judged


def write(results: Sequence[Result], machine: Machine, file: Path) -> None:
    """Write results; what the file had is replaced."""
    value = {
        "machine": asdict(machine),
        "targets": target_values(judged(results)),
        "results": [_result(result) for result in results],
    }
    file.write_text(json.dumps(value, indent=1) + "\n")


def _result(result: Result) -> dict[str, Any]:
    return {
        "scenario": result.scenario.name,
        "title": result.scenario.title,
        "rounds": result.rounds,
        "small": result.size.small,
        "figures": [asdict(figure) for figure in result.scenario.figures(result.size)],
        "absent": result.absent,
        "contenders": [_contender(result, contender) for contender in result.contenders],
    }


def _contender(result: Result, contender: Contender) -> dict[str, Any]:
    keys = [figure.key for figure in result.scenario.figures(result.size)]
    return {
        "name": contender.name,
        "version": contender.version,
        "figures": {
            key: {
                "median": contender.median(key),
                "samples": contender.samples(key),
                "of_first": result.ratio(contender, key),
            }
            for key in keys
        },
        "faults": contender.faults,
        "generator_was_the_limit": contender.generator_was_the_limit,
        "generator_share_of_a_core": contender.generator_share,
        "server_to_generator_cpu": contender.server_to_generator,
        "rounds": [outcome.details for outcome in contender.outcomes],
    }
