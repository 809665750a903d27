"""The canary: a message that goes through the session service's engine and back proves that this edge can deliver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from service_runtime.logs import get_logger
from ws_edge.adapters.grpc_session_stream import SessionStream

log = get_logger("ws_edge.canary")


class Canary:
    """Sends a canary now and again, and judges readiness by its return.

    Args:
        stream: To the session service.
        new_id: Makes unguessable ids.
        interval_s: Seconds between canaries.
        patience_s: Without a return for this long, in seconds, the edge is not ready.
        observe: Given the round trip of each canary, in seconds.
    """

    def __init__(
        self,
        stream: SessionStream,
        new_id: Callable[[], str],
        *,
        interval_s: float,
        patience_s: float,
        observe: Callable[[float], None],
    ) -> None:
        self._stream = stream
        self._new_id = new_id
        self._interval_s = interval_s
        self._patience_s = patience_s
        self._observe = observe
        self._nonce = ""
        self._sent_at = 0.0
        self._returned_at: float | None = None
        self._alarmed = False
        self.round_trip_s = 0.0
        self.alarms = 0

    async def run(self) -> None:
        """Send canaries for ever; quickly until the first one has returned."""
        while True:
            if self._stream.live:
                self._nonce = self._new_id()
                self._sent_at = asyncio.get_running_loop().time()
                self._stream.commands.send_canary(self._nonce)
            self._watch()
            await asyncio.sleep(self._interval_s if self._returned_at is not None and self._stream.live else 0.05)

    def returned(self, nonce: str) -> None:
        """Note that a canary came back."""
        now = asyncio.get_running_loop().time()
        if nonce == self._nonce:
            self.round_trip_s = now - self._sent_at
            self._observe(self.round_trip_s)
            self._returned_at = now

    def problem(self) -> str | None:
        """Return why this edge cannot deliver; None when it can."""
        if not self._stream.live:
            return "no session service is attached"
        if self._returned_at is None:
            return "no canary has returned yet"
        silence_s = asyncio.get_running_loop().time() - self._returned_at
        if silence_s > self._patience_s:
            return f"no canary has returned for {silence_s:.1f} s"
        return None

    def _watch(self) -> None:
        problem = self.problem()
        if problem is not None and self._returned_at is not None and not self._alarmed:
            self.alarms += 1
            log.error("edge cannot deliver", cause=problem)
        elif problem is None and self._alarmed:
            log.info("edge delivers again", round_trip_ms=round(self.round_trip_s * 1000, 1))
        self._alarmed = problem is not None and self._returned_at is not None
