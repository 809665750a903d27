"""Keeps one service running: starts it, starts it again when it dies, on the port that it had."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

from scripts.supervision.child import Child, EndedEarlyError
from scripts.supervision.output import Output
from scripts.supervision.restart_policy import WINDOW_S, RestartPolicy
from scripts.supervision.services import ServicePlan, address, child_environment

LISTEN_DEADLINE_S: Final = 30.0


class SupervisionError(Exception):
    """The services cannot be run; the text says why."""


class Keeper:
    """Of one service.

    Args:
        plan: What to start.
        policy: When to start it again.
        ready_file: Where it says that it listens.
        addresses: Of the services that listen, by name; this keeper writes its own.
        output: For its lines.
    """

    def __init__(
        self,
        plan: ServicePlan,
        policy: RestartPolicy,
        ready_file: Path,
        addresses: MutableMapping[str, str],
        output: Output,
    ) -> None:
        self.plan = plan
        self.restarts = 0
        self.facts: dict[str, Any] = {}
        self._policy = policy
        self._ready_file = ready_file
        self._addresses = addresses
        self._output = output
        self._port = plan.port
        self._child: Child | None = None
        self._started_at_s = 0.0

    @property
    def name(self) -> str:
        """The service's name."""
        return self.plan.name

    @property
    def pid(self) -> int | None:
        """Of the process that runs; None when none does."""
        return self._child.pid if self._child is not None and self._child.running else None

    async def start(self) -> None:
        """Start the service for the first time, and return when it listens.

        Raises:
            SupervisionError: it ends or is silent instead.
        """
        try:
            await self._launch()
        except EndedEarlyError as error:
            raise SupervisionError(f"{self.name} did not start: it {how(error.code)}{self._last_words()}") from None
        except TimeoutError:
            raise SupervisionError(
                f"{self.name} did not listen within {LISTEN_DEADLINE_S:g} s{self._last_words()}"
            ) from None

    async def keep(self) -> None:
        """Start the service again whenever it dies.

        Raises:
            SupervisionError: it dies too often.
        """
        assert self._child is not None
        while True:
            code = await self._child.ended()
            now_s = time.monotonic()
            delay_s = self._policy.crashed(now_s, now_s - self._started_at_s)
            if delay_s is None:
                raise SupervisionError(
                    f"{self.name} {how(code)}, too often in {WINDOW_S:g} s: given up{self._last_words()}"
                )
            self._output.say(
                "warning",
                f"{self.name} {how(code)}; it is started again in {delay_s:g} s",
                died=self.name,
                exit_code=code,
            )
            await asyncio.sleep(delay_s)
            self.restarts += 1
            with contextlib.suppress(EndedEarlyError, TimeoutError):  # the next turn sees that it has ended
                await self._launch()
                self._output.say("info", f"{self.name} is back, with pid {self.pid} on port {self._port}")

    async def end(self, within_s: float) -> bool:
        """End the service; return whether it ended by itself when asked."""
        if self._child is None or not self._child.running:
            return True
        self._child.terminate()
        try:
            async with asyncio.timeout(within_s):
                await self._child.ended()
        except TimeoutError:
            self.kill()
            await self._child.ended()
            return False
        return True

    def kill(self) -> None:
        """End the service at once."""
        if self._child is not None and self._child.running:
            self._child.kill()

    async def _launch(self) -> None:
        command = self.plan.command(sys.executable, self._ready_file, self._port, self._addresses)
        self._started_at_s = time.monotonic()
        self._child = await Child.start(
            command,
            child_environment(self.plan),
            self._ready_file,
            lambda line: self._output.service_line(self.name, line),
        )
        try:
            async with asyncio.timeout(LISTEN_DEADLINE_S):
                self.facts = await self._child.listening()
        except TimeoutError:
            self._child.kill()
            await self._child.ended()
            raise
        self._port = int(self.facts["port"])
        self._addresses[self.name] = address(self.plan.host, self._port)

    def _last_words(self) -> str:
        lines = list(self._child.tail) if self._child is not None else []
        return "".join(["; its last lines:", *(f"\n  {line}" for line in lines)]) if lines else ", without a word"


def how(code: int) -> str:
    """Return how a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
