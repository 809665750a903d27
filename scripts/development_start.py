"""`manage.py start`: all services with one command, for people."""

from __future__ import annotations

from scripts.exit_codes import FAILED
from scripts.start_options import Wishes
from scripts.supervision.launch import launch
from scripts.supervision.output import console
from scripts.supervision.services import plan_services
from service_runtime.settings import SettingsError


def start(wanted: Wishes) -> int:
    """Run everything until Ctrl-C; return the exit code."""
    output = console()
    try:
        plans = plan_services(wanted)
    except SettingsError as error:
        output.say("error", str(error))
        return FAILED
    names = ", ".join(plan.name for plan in plans)
    output.say(
        "info", f"starting {names} in {plans[-1].settings.mode} mode, data in {wanted.run_dir}; Ctrl-C ends everything"
    )
    return launch(plans, output, wanted.run_dir)
