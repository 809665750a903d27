"""Proves that the engine delivers: a canary goes through it and must come back to this process (`design.md`, decision 9)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Final, Protocol

from service_runtime.logs import get_logger
from session_service.adapters.metrics_prometheus import StreamMetrics
from session_service.core.errors import EngineUnavailable, SessionError
from session_service.core.ports import Engine

log = get_logger("session_service.engine_watch")

OWN_CANARIES: Final = "service"


class Canaries(Protocol):
    """Sends messages through the engine that must come back."""

    def send_canary(
        self, token: str, whose: str, came: Callable[[], None], failed: Callable[[SessionError], None]
    ) -> None:
        """Call `came` when it is back, or `failed` when the engine does not take it."""

    def forget_canary(self, token: str) -> None:
        """Wait for it no longer. Idempotent."""


class EngineWatch:
    """Judges the engine by its canaries. What does not bring them back any more is replaced.

    Args:
        canaries: Sends them.
        engine: Told to listen anew.
        metrics: Counters.
        new_id: Makes unguessable ids.
        patience_s: Seconds in which a canary must come back.
    """

    def __init__(
        self,
        canaries: Canaries,
        engine: Engine,
        metrics: StreamMetrics,
        new_id: Callable[[], str],
        *,
        patience_s: float,
    ) -> None:
        self._canaries = canaries
        self._engine = engine
        self._metrics = metrics
        self._new_id = new_id
        self._patience_s = patience_s
        self.healthy = True
        metrics.engine_healthy.set(1)

    async def look(self) -> None:
        """Send a canary, and note if it comes back; raise the alarm when that changes."""
        problem: SessionError | None = None
        try:
            await self.prove(self._patience_s)
        except SessionError as error:
            problem = error
        if problem is not None and self.healthy:
            self._metrics.engine_alarms.inc()
            log.error("message store fails", cause=str(problem))
        elif problem is None and not self.healthy:
            log.info("message store works again")
        self.healthy = problem is None
        self._metrics.engine_healthy.set(int(self.healthy))

    async def prove(self, timeout_s: float) -> None:
        """Send a canary and wait for it.

        Raises:
            SessionError: the engine did not take it.
            EngineUnavailable: it did not come back in time; then the engine listens anew.
        """
        back: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def came() -> None:
            if not back.done():
                back.set_result(None)

        def failed(error: SessionError) -> None:
            if not back.done():
                back.set_exception(error)

        token = self._new_id()
        began_s = perf_counter()
        self._canaries.send_canary(token, OWN_CANARIES, came, failed)
        try:
            async with asyncio.timeout(timeout_s):
                await back
            self._metrics.canary_seconds.observe(perf_counter() - began_s)
        except TimeoutError:
            self._metrics.canaries_lost.inc()
            self._engine.listen_anew()
            raise EngineUnavailable("a canary did not come back through the message store") from None
        finally:
            self._canaries.forget_canary(token)
