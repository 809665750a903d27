"""Runs all services: starts each after those that it calls, says `ready` when a message has gone round, watches, ends.

Everything that is started is ended, whatever happens: in order when there is time, by the kernel when the supervisor
itself is killed (`tether.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Sequence
from typing import Any, Final

from scripts.exit_codes import DONE, FAILED
from scripts.supervision.keeper import Keeper, SupervisionError
from scripts.supervision.output import Output
from scripts.supervision.probes import EDGE, Probes, edge_context
from scripts.supervision.restart_policy import RestartPolicy
from scripts.supervision.run_record import RunRecord
from scripts.supervision.services import ServicePlan
from service_runtime.tasks import cancel

READY_DEADLINE_S: Final = 60.0
READY_POLL_S: Final = 0.05
WATCH_INTERVAL_S: Final = 1.0
# How long a service has before the one that it calls is asked to end too.
LEAD_S: Final = 0.5
# Above what a service's settings ask for, for the end itself. With the defaults all is over in 4.7 seconds.
EDGE_MARGIN_S: Final = 1.5
MARGIN_S: Final = 0.5


class Supervisor:
    """Of one run.

    Args:
        plans: The services, each after those that it calls.
        output: What is shown.
        record: What `status` reads; open.
        most_crashes: Of one service in a minute, before everything is given up; None: no bound.
    """

    def __init__(
        self, plans: Sequence[ServicePlan], output: Output, record: RunRecord, most_crashes: int | None = None
    ) -> None:
        self._output = output
        self._record = record
        self._addresses: dict[str, str] = {}
        self._keepers = [
            Keeper(plan, RestartPolicy(most_crashes), record.ready_file(plan.name), self._addresses, output)
            for plan in plans
        ]
        self._probes = Probes(plans, self._addresses)
        self._problems: dict[str, str | None] = {plan.name: "starting" for plan in plans}
        self._stop = asyncio.Event()
        self._started_at = time.time()
        self._mode = plans[-1].settings.mode
        self._edge_tls = any(edge_context(plan) is not None for plan in plans)

    async def run(self) -> int:
        """Run everything until a signal comes, or it cannot go on; return the exit code."""
        self._catch_signals()
        work = asyncio.create_task(self._work())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        failed = work.done()
        try:
            await cancel(stopping, work)
            with contextlib.suppress(asyncio.CancelledError):
                work.result()
        except* SupervisionError as group:
            for error in group.exceptions:
                self._output.say("error", str(error))
        finally:
            clean = await self._end_all()
        return DONE if clean and not failed else FAILED

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup goes on
                loop.add_signal_handler(number, self._stop_asked)

    def _stop_asked(self) -> None:
        if self._stop.is_set():
            for keeper in self._keepers:
                keeper.kill()
        self._stop.set()

    async def _work(self) -> None:
        began_s = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for keeper in self._keepers:
                await keeper.start()
                tasks.create_task(keeper.keep())
                self._write_record()
            await self._until_ready()
            self._output.ready(self._shown_addresses(), time.monotonic() - began_s)
            await self._watch()

    async def _until_ready(self) -> None:
        end_s = time.monotonic() + READY_DEADLINE_S
        while any((await self._look()).values()):
            if time.monotonic() > end_s:
                raise SupervisionError(f"not ready within {READY_DEADLINE_S:g} s: {self._reasons()}")
            await asyncio.sleep(READY_POLL_S)

    async def _watch(self) -> None:
        """Say it when something is not ready any more, and when all is again."""
        since_s: float | None = None
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            await self._look()
            if since_s is None and any(self._problems.values()):
                since_s = time.monotonic()
                self._output.say("warning", f"not ready: {self._reasons()}", not_ready=self._not_ready())
            elif since_s is not None and not any(self._problems.values()):
                self._output.say("info", f"all services are ready again, after {time.monotonic() - since_s:.1f} s")
                since_s = None

    async def _look(self) -> dict[str, str | None]:
        """Ask each service how it is."""
        for keeper in self._keepers:
            down = "not running" if keeper.pid is None else None
            self._problems[keeper.name] = down or await self._probes.problem(keeper.name)
        self._write_record()
        return self._problems

    def _not_ready(self) -> dict[str, str]:
        return {name: problem for name, problem in self._problems.items() if problem}

    def _reasons(self) -> str:
        return "; ".join(f"{name}: {problem}" for name, problem in self._not_ready().items())

    def _shown_addresses(self) -> dict[str, str]:
        others = {name: where for name, where in self._addresses.items() if name != EDGE}
        return {EDGE: f"{'https' if self._edge_tls else 'http'}://{self._addresses[EDGE]}", **others}

    def _write_record(self) -> None:
        services: list[dict[str, Any]] = [
            {
                "name": keeper.name,
                "pid": keeper.pid,
                "address": self._addresses.get(keeper.name),
                "port": keeper.facts.get("port"),
                "restarts": keeper.restarts,
                "problem": self._problems[keeper.name],
                "https": keeper.name == EDGE and self._edge_tls,
            }
            for keeper in self._keepers
        ]
        self._record.write(
            {"mode": self._mode, "started_at": self._started_at, "looked_at": time.time(), "services": services}
        )

    async def _end_all(self) -> bool:
        """End the edge, then what it calls, last started first; return whether all ended when asked."""
        await self._probes.close()
        edge, *others = [*reversed(self._keepers)]
        endings = [asyncio.create_task(self._end(edge))]
        await endings[0]
        for keeper in others:
            endings.append(asyncio.create_task(self._end(keeper)))
            await asyncio.wait(endings[-1:], timeout=LEAD_S)
        return all(await asyncio.gather(*endings))

    async def _end(self, keeper: Keeper) -> bool:
        by_itself = await keeper.end(end_deadline_s(keeper.plan))
        if not by_itself:
            self._output.say("error", f"{keeper.name} did not end when asked, and was killed", killed=keeper.name)
        return by_itself


def end_deadline_s(plan: ServicePlan) -> float:
    """Return how long a service may take to end."""
    settings = plan.settings
    if plan.name == EDGE:
        drain_s = float(getattr(settings, "drain_wait_s", 0)) + float(getattr(settings, "drain_s", 0))
        return drain_s + EDGE_MARGIN_S
    return settings.shutdown_grace_s + MARGIN_S
