"""Every key store that must pass the conformance suite. The fake of the unit tests is one of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from auth_service.adapters.store_cached import CachedKeyStore
from auth_service.adapters.store_sqlite import SqliteKeyStore
from auth_service.core.ports import KeyStore
from tests.unit.auth_service.fakes import MemoryKeyStore


class StoreBench(ABC):
    """One store; each `open` is another process's life on it."""

    @abstractmethod
    async def open(self, *, change_log_size: int = 1000) -> KeyStore:
        """Open the store; several may be open at once."""

    @abstractmethod
    async def close_all(self) -> None:
        """End every life."""


class MemoryBench(StoreBench):
    """The fake: what is kept is kept by the bench."""

    def __init__(self, folder: Path) -> None:
        self._store: MemoryKeyStore | None = None

    async def open(self, *, change_log_size: int = 1000) -> KeyStore:
        if self._store is None:
            self._store = MemoryKeyStore(change_log_size)
        return self._store

    async def close_all(self) -> None:
        """Nothing is open."""


class SqliteBench(StoreBench):
    """A file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "auth.db"
        self._open: list[SqliteKeyStore] = []

    async def open(self, *, change_log_size: int = 1000) -> KeyStore:
        store = SqliteKeyStore(self.path, timeout_s=10.0, change_log_size=change_log_size)
        self._open.append(store)
        await store.open()
        return store

    async def close_all(self) -> None:
        for store in self._open:
            store.close()


class CachedBench(SqliteBench):
    """A file with the cache of records before it."""

    async def open(self, *, change_log_size: int = 1000) -> KeyStore:
        return CachedKeyStore(await super().open(change_log_size=change_log_size), size=3)


STORES: Final[Mapping[str, Callable[[Path], StoreBench]]] = {
    "memory": MemoryBench,
    "sqlite": SqliteBench,
    "sqlite-cached": CachedBench,
}
