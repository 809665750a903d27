"""Every engine that must pass the conformance suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from session_service.adapters.engine_sqlite import SqliteEngine
from session_service.adapters.metrics_prometheus import EngineMetrics
from session_service.adapters.sqlite_ops import WriterSettings
from tests.conformance.engine_bench import EngineBench, EngineOptions, EngineUser


class SqliteBench(EngineBench):
    """The embedded engine on a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / "session.db"
        self._epochs = 0

    def make(self, options: EngineOptions) -> SqliteEngine:
        settings = WriterSettings(
            options.retention,
            idempotency_window_s=options.idempotency_window_s,
            max_threads=options.max_threads,
            now_s=self.clock.now,
            monotonic_s=self.clock.monotonic,
            new_epoch=self._new_epoch,
        )
        return SqliteEngine(
            self.path,
            settings,
            timeout_s=10.0,
            max_pending=options.max_pending,
            max_pending_bytes=options.max_pending_bytes,
            metrics=EngineMetrics(CollectorRegistry()),
        )

    async def maintain(self, user: EngineUser) -> None:
        self.clock.monotonic_s += 1.0
        await user.subscribe("tests/maintenance/scratch")

    def _new_epoch(self) -> str:
        self._epochs += 1
        return f"epoch-{self._epochs}"


ENGINES: Final[Mapping[str, Callable[[Path], EngineBench]]] = {"sqlite": SqliteBench}
