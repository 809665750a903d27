"""Whether the ports that services are to listen on can be had, asked before anything is started."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from scripts.supervision.services import ServicePlan


def port_problems(plans: Sequence[ServicePlan]) -> list[str]:
    """Return a line for each service that cannot listen where it is to; each says what to do."""
    problems = []
    for number, plan in enumerate(plans):
        twin = next((other for other in plans[:number] if plan.port and other.port == plan.port), None)
        if twin is not None:
            problems.append(
                f"{twin.name} and {plan.name} are both to listen on port {plan.port}: choose another for one"
            )
        elif problem := _problem(plan):
            problems.append(problem)
    return problems


def _problem(plan: ServicePlan) -> str | None:
    try:
        for family, kind, protocol, _, where in socket.getaddrinfo(
            plan.host or None, plan.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(where)
                probe.listen(1)
    except OSError as error:
        return _explain(plan, error)
    return None


def _explain(plan: ServicePlan, error: OSError) -> str:
    option = f"--{plan.name}-port"
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {plan.port}, for {plan.name}, is taken: end the process that listens there (or wait, if it is a connection"
            f" to elsewhere that was given this port), or choose another port with {option} (0: any free one)"
        )
    if error.errno == errno.EACCES:
        return f"port {plan.port}, for {plan.name}, needs privileges that this user has not: choose one over 1023 with {option}"
    return f"{plan.name} cannot listen on {plan.host}:{plan.port}: {error.strerror}"
