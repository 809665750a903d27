"""`manage.py start`: all services with one command, for people."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from scripts.dev_server import PORT, dev_server
from scripts.exit_codes import FAILED
from scripts.page import PageError, ensure_page, usable_node
from scripts.start_options import Wishes
from scripts.supervision.launch import launch
from scripts.supervision.output import Output, console
from scripts.supervision.probes import edge_context
from scripts.supervision.services import ServicePlan, address, plan_services
from service_runtime.settings import SettingsError


def start(wanted: Wishes, *, builds_page: bool = True, frontend: bool = False) -> int:
    """Run everything until Ctrl-C; return the exit code.

    Args:
        wanted: What the operator asked for.
        builds_page: Whether to build the edge's page if it is missing or old. Without it the services run all the same.
        frontend: Whether to run the page's development server too.
    """
    output = console()
    try:
        plans = plan_services(wanted)
        if builds_page:
            _build_page(output)
        names = ", ".join(plan.name for plan in plans)
        output.say(
            "info",
            f"starting {names} in {plans[-1].settings.mode} mode, data in {wanted.run_dir}; Ctrl-C ends everything",
        )
        with _development_server(plans, output) if frontend else contextlib.nullcontext():
            return launch(plans, output, wanted.run_dir)
    except (SettingsError, PageError) as error:
        output.say("error", str(error))
        return FAILED


def _build_page(output: Output) -> None:
    try:
        ensure_page(lambda words: output.say("info", words))
    except PageError as error:
        output.say("warning", f"the page of the edge cannot be built: {error}")


@contextlib.contextmanager
def _development_server(plans: Sequence[ServicePlan], output: Output) -> Iterator[None]:
    """Run the development server beside the services.

    Raises:
        PageError: it cannot run.
    """
    edge = plans[-1]
    if edge.port == 0:
        raise PageError("--frontend needs to know the edge's port: give one other than 0")
    node = usable_node(lambda words: output.say("info", words))
    url = f"{'http' if edge_context(edge) is None else 'https'}://{address(edge.host, edge.port)}"
    with dev_server(node, url):
        output.say("info", f"the development server of the page: http://localhost:{PORT}")
        yield
