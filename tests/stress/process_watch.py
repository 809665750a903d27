"""What a service uses, by the kernel's books, and what it says of itself."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.support.http_client import http, http_async
from tests.support.processes import ServiceProcess
from tests.support.waiting import eventually

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MIB = 1024 * 1024


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def open_files(pid: int) -> int:
    """Return how many files, sockets included, a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def metrics_url(process: ServiceProcess) -> str:
    """Return where a service shows its metrics: the edge on its port, others on the port that `metrics-port: 0` gave them."""
    if process.module == "ws_edge":
        return f"http://{process.address}/metrics"
    return f"http://127.0.0.1:{process.facts['metrics_port']}/metrics"


def value_in(text: str, metric: str, labels: str = "") -> float:
    """Return the value of a metric in Prometheus text; fail where there is none.

    Args:
        text: What was scraped.
        metric: Its name.
        labels: As they stand there, e.g. `error_type="unavailable"`.
    """
    shown = re.escape(metric + (f"{{{labels}}}" if labels else ""))
    found = re.search(rf"^{shown} (\S+)$", text, re.MULTILINE)
    assert found, f"there is no {metric} {labels}"
    return float(found[1])


async def counted(process: ServiceProcess, metric: str, labels: str = "") -> float:
    """Ask a service for a metric."""
    return value_in((await http_async("GET", metrics_url(process))).body.decode(), metric, labels)


async def is_ready(edge: ServiceProcess) -> bool:
    """Say whether an edge says that it can deliver; one that does not answer is not ready."""
    try:
        return (await http_async("GET", f"http://{edge.address}/ready")).status == 200
    except OSError:
        return False


async def canaries_came_back(edge: ServiceProcess, count: int) -> None:
    """Return when so many more canaries have come back; the edge must be ready all the time."""
    begun = await counted(edge, "tidewire_edge_canary_seconds_count")

    async def passed() -> bool:
        assert await is_ready(edge)
        return await counted(edge, "tidewire_edge_canary_seconds_count") >= begun + count

    await eventually(passed, what="canaries come back")


def reason_of(edge: ServiceProcess) -> str:
    """Return why an edge says that it is not ready; empty if it is."""
    answer = http("GET", f"http://{edge.address}/ready")
    return "" if answer.status == 200 else str(answer.json()["reason"])
