"""Moves keys to the current pepper in the background, each when it is verified: only then is its secret there.

Nobody waits for it, and nobody is refused when it fails: the next verification of the key tries again.
"""

import asyncio
from typing import Final

from auth_service.adapters import metrics
from auth_service.core.errors import StoreUnavailableError
from auth_service.core.keys import KeyRecord
from auth_service.core.ports import KeyStore
from service_runtime.tasks import end_tasks

# Keys that wait at most; what comes on top is left to the key's next verification.
MAX_WAITING_KEYS: Final = 1024
# After a store that did not answer.
PAUSE_S: Final = 1.0


class PepperRotation:
    """Stores hashes of secrets under the current pepper.

    Args:
        store: where the keys are.
        pepper_version: the current one.
    """

    def __init__(self, store: KeyStore, pepper_version: int) -> None:
        self._store = store
        self._pepper_version = pepper_version
        self._waiting: dict[str, tuple[KeyRecord, bytes]] = {}
        self._working: asyncio.Task[None] | None = None

    def add(self, record: KeyRecord, secret_hash: bytes) -> None:
        """Take a key in whose secret is hashed under another pepper.

        Args:
            record: the key as it was found.
            secret_hash: of its secret, under the current pepper.
        """
        if len(self._waiting) >= MAX_WAITING_KEYS:
            metrics.REHASHES.labels("dropped").inc()
            return
        self._waiting[record.key_id] = (record, secret_hash)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())

    async def close(self, grace_s: float) -> None:
        """Go on for so many seconds at most, then leave what is left."""
        if self._working is None:
            return
        await asyncio.wait({self._working}, timeout=grace_s)
        await end_tasks(self._working)

    async def _work(self) -> None:
        while self._waiting:
            key_id, (record, secret_hash) = next(iter(self._waiting.items()))
            try:
                done = await self._store.rehash(record, secret_hash, self._pepper_version)
            except StoreUnavailableError:
                metrics.REHASHES.labels("failed").inc()
                await asyncio.sleep(PAUSE_S)
            else:
                # Another service was faster, or the key is gone.
                metrics.REHASHES.labels("done" if done else "overtaken").inc()
            finally:
                del self._waiting[key_id]
