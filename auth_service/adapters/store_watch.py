"""Proves that this service can do its work: a canary is written to the key store and read back, and its log is looked at.

A store that takes no writes can take no revocation, and a service that does not look at the log is deaf to those of others.
"""

import asyncio
import secrets
from time import perf_counter
from typing import Final

from auth_service.adapters import metrics
from auth_service.adapters.watch_hub import WatchHub
from auth_service.core.errors import StoreUnavailableError
from auth_service.core.ports import KeyStore
from service_runtime.logs import get_logger

CANARY_BITS: Final = 48

log = get_logger("auth_service.store_watch")


class StoreWatch:
    """Judges the store by its canaries.

    Args:
        store: where they go.
        hub: looks at the log of changes.
        patience_s: seconds in which a canary must be written and read, and the log be looked at once more.
    """

    def __init__(self, store: KeyStore, hub: WatchHub, *, patience_s: float) -> None:
        self._store = store
        self._hub = hub
        self._patience_s = patience_s
        self.healthy = True
        metrics.STORE_HEALTHY.set(1)

    async def look(self) -> None:
        """Send a canary, and note what came of it; raise the alarm when that changes."""
        problem = await self._problem()
        if problem is not None and self.healthy:
            metrics.STORE_ALARMS.inc()
            log.error("key store fails", cause=problem)
        elif problem is None and not self.healthy:
            log.info("key store works again")
        self.healthy = problem is None
        metrics.STORE_HEALTHY.set(int(self.healthy))

    async def _problem(self) -> str | None:
        """Return why the service cannot do its work; None when it can."""
        number = secrets.randbits(CANARY_BITS)
        began_s = perf_counter()
        try:
            async with asyncio.timeout(self._patience_s):
                found = await self._store.canary(number)
        except StoreUnavailableError as error:
            return str(error)
        except TimeoutError:
            return f"a canary was not written and read in {self._patience_s} s"
        metrics.STORE_CANARY_TIMES.observe(perf_counter() - began_s)
        if found != number:
            return "a canary was written and not found"
        silence_s = self._hub.silence_s()
        if silence_s > self._patience_s:
            return f"the log of changes was not read for {silence_s:.1f} s"
        return None
