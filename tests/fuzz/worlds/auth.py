"""An auth service without its sockets: the real servicers over a real key store in SQLite, put together as `app.py` does."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from auth_service.adapters.grpc_api.admin import KeyAdminServicer
from auth_service.adapters.grpc_api.caller import Callers
from auth_service.adapters.grpc_api.ext_authz import ExtAuthzServicer
from auth_service.adapters.grpc_api.verification import AuthServicer
from auth_service.adapters.store_cached import CachedKeyStore
from auth_service.adapters.store_sqlite.store import SqliteKeyStore
from auth_service.adapters.store_sqlite.uses import SqliteUses
from auth_service.adapters.watch_hub import WatchHub
from auth_service.core.administration import Administration
from auth_service.core.hashing import Peppers
from auth_service.core.key_format import KeyText, generate
from auth_service.core.quick_verdicts import DIGEST_KEY_BYTES, QuickVerdicts
from auth_service.core.throttle import Throttle
from auth_service.core.verifier import Verifier
from service_runtime.clock import SystemClock
from service_runtime.tasks import end_tasks
from tests.fuzz.worlds.grpc_call import SERVICE_TOKEN

PEPPERS = Peppers(1, {1: b"f" * 32})
TIMEOUT_S = 15.0


@dataclass(frozen=True)
class AuthWorld:
    """Everything that a call can reach."""

    callers: Callers
    verifier: Verifier
    administration: Administration
    auth: AuthServicer
    admin: KeyAdminServicer
    envoy: ExtAuthzServicer


class Counter:
    """Chance without chance: the keys of every world are the same, so that inputs can name them."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def below(self, bound: int) -> int:
        return next(self._numbers) % bound


def keys_made(count: int, environment: str = "live") -> list[KeyText]:
    """Return the first keys that a world makes."""
    counter = Counter()
    return [generate(environment, counter.below) for _ in range(count)]


@asynccontextmanager
async def auth_world(folder: Path) -> AsyncIterator[AuthWorld]:
    """Open an auth service on an empty store."""
    clock = SystemClock()
    file = SqliteKeyStore(folder / "auth.db", timeout_s=TIMEOUT_S, change_log_size=100, audit_log_size=100)
    await file.open()
    uses = SqliteUses(file)
    store = CachedKeyStore(file, 100)
    hub = WatchHub(store, clock, checkpoint_s=TIMEOUT_S, queue_size=100, max_watchers=10, stale_after_s=TIMEOUT_S)
    await hub.prepare()
    quick = QuickVerdicts(store.recall, size=100, digest_key=b"q" * DIGEST_KEY_BYTES)
    store.forget_with_records(quick)
    verifier = Verifier(
        store,
        uses,
        Throttle(per_minute=20, per_minute_of_address=50, size=100),
        PEPPERS,
        clock,
        ttl_ms=1000,
        seen_revision=hub.seen_revision,
        named_keys={},
        quick=quick,
    )
    callers = Callers(verifier, SERVICE_TOKEN)
    administration = Administration(store, PEPPERS, clock, Counter().below)
    running = asyncio.create_task(hub.run())
    try:
        yield AuthWorld(
            callers,
            verifier,
            administration,
            AuthServicer(callers, verifier, hub),
            KeyAdminServicer(callers, administration, uses, hub),
            ExtAuthzServicer(callers, verifier),
        )
    finally:
        await end_tasks(running)
        await uses.close()
        file.close()
