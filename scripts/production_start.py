"""`run_server.py`: verifies, then runs the services in production mode."""

from __future__ import annotations

import sys

from scripts.exit_codes import FAILED
from scripts.preflight import missing_packages, problems_of_files
from scripts.start_options import Wishes
from scripts.supervision.output import JsonOutput


def start(wanted: Wishes, most_crashes: int) -> int:
    """Run everything until a signal comes, or one service has crashed too often; return the exit code."""
    output = JsonOutput(sys.stdout)
    missing = missing_packages()
    if missing:
        return refuse(output, missing)

    # Only now: these import the packages.
    from scripts.supervision.launch import launch
    from scripts.supervision.services import plan_services
    from service_runtime.settings import SettingsError

    try:
        plans = plan_services(wanted)
    except SettingsError as error:
        return refuse(output, str(error).splitlines())
    problems = problems_of_files(plans, wanted.run_dir)
    if problems:
        return refuse(output, problems)
    output.say("info", "verified: packages, settings, secrets, data folder, TLS files", data_dir=wanted.run_dir)
    return launch(plans, output, wanted.run_dir, most_crashes)


def refuse(output: JsonOutput, problems: list[str]) -> int:
    """Say why nothing is started: to programs on stdout, to people on stderr."""
    for problem in problems:
        output.say("error", problem)
    sys.stderr.write("run_server.py: not started:\n" + "".join(f"  - {problem}\n" for problem in problems))
    return FAILED
