"""`manage.py status`: which services run, and if they are ready."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

from scripts.exit_codes import DONE, FAILED
from scripts.start_options import DEFAULT_DATA_DIR
from scripts.supervision import run_record
from scripts.supervision.edge_tls import unverified_context

DEADLINE_S: Final = 3.0
# The supervisor looks once a second. What it saw longer ago says nothing.
STALE_S: Final = 10.0
EDGE: Final = "edge"


def status(data_dir: Path | None, *, as_json: bool) -> int:
    """Print the state of the run of a data folder; return 0 if all of it is ready."""
    folder = data_dir or DEFAULT_DATA_DIR
    state = run_record.read_state(folder) if run_record.lives(folder) else None
    report = describe(state, now=time.time()) if state else {"running": False, "ready": False, "services": []}
    report["data_dir"] = str(folder)
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(report)) + "\n")
    return DONE if report["ready"] else FAILED


def describe(state: dict[str, Any], now: float) -> dict[str, Any]:
    """Return the report of a run.

    Args:
        state: What its supervisor wrote last.
        now: Seconds since the Unix epoch.
    """
    silent_s = now - state["looked_at"]
    services = [_service(service, silent_s) for service in state["services"]]
    return {
        "running": True,
        "ready": all(service["ready"] for service in services),
        "pid": state["pid"],
        "mode": state["mode"],
        "up_s": round(now - state["started_at"]),
        "services": services,
    }


def _service(service: dict[str, Any], silent_s: float) -> dict[str, Any]:
    problem = _problem(service, silent_s)
    shown = {name: service[name] for name in ("name", "pid", "address", "port", "restarts")}
    return {**shown, "ready": problem is None, "reason": problem}


def _problem(service: dict[str, Any], silent_s: float) -> str | None:
    if service["pid"] is None or not _exists(service["pid"]):
        return "not running"
    if service["name"] == EDGE and service["address"]:
        return _edge_problem(service["address"], https=service.get("https", False))
    if silent_s > STALE_S:
        return f"not known: the supervisor has not looked for {silent_s:.0f} s"
    problem: str | None = service["problem"]
    return problem


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _edge_problem(address: str, *, https: bool = False) -> str | None:
    connection = (
        http.client.HTTPSConnection(address, timeout=DEADLINE_S, context=unverified_context())
        if https
        else http.client.HTTPConnection(address, timeout=DEADLINE_S)
    )
    try:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        body = answer.read()
        return None if answer.status == http.client.OK else str(json.loads(body)["reason"])
    except (OSError, http.client.HTTPException) as error:
        return f"no answer to /ready: {error}"
    except (ValueError, KeyError, TypeError):
        return f"its answer to /ready is not understood: HTTP {answer.status}"
    finally:
        connection.close()


def _lines(report: dict[str, Any]) -> list[str]:
    if not report["running"]:
        return [f"nothing runs with the data folder {report['data_dir']}"]
    first = f"Tidewire runs in {report['mode']} mode for {report['up_s']} s, pid {report['pid']}, data in {report['data_dir']}"
    return [first, *(_line(service) for service in report["services"])]


def _line(service: dict[str, Any]) -> str:
    state = "ready" if service["ready"] else f"not ready: {service['reason']}"
    restarts = f", started again {service['restarts']} times" if service["restarts"] else ""
    return f"{service['name']:<8} pid {service['pid'] or '-':<8} {service['address'] or '-':<22} {state}{restarts}"
