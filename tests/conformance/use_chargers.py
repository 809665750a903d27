"""What charges keys, for each key store of the conformance suite: in memory for the fake, in the store for others."""

from __future__ import annotations

from auth_service.adapters.store_cached import CachedKeyStore
from auth_service.adapters.store_redis.store import RedisKeyStore
from auth_service.adapters.store_redis.uses import RedisUses
from auth_service.adapters.store_sqlite.store import SqliteKeyStore
from auth_service.adapters.store_sqlite.uses import SqliteUses
from auth_service.core.ports import KeyStore, UseCharger
from tests.unit.auth_service.fakes import MemoryUses


def charger_on(store: KeyStore) -> UseCharger:
    """Return what charges the keys of a store."""
    if isinstance(store, RedisKeyStore):
        return RedisUses(store.calls, store.prefix)
    if isinstance(store, CachedKeyStore):
        return charger_on(store._store)
    return SqliteUses(store) if isinstance(store, SqliteKeyStore) else MemoryUses()
