"""A session service without its sockets: the real servicers over a real SQLite engine, put together as `app.py` does."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry

from service_runtime.clock import SystemClock
from session_service.adapters.channel_queries import ChannelQueries
from session_service.adapters.cluster_local import LocalCluster
from session_service.adapters.edge_stream.commands import EdgeCommands
from session_service.adapters.edge_stream.outbox import EdgeOutbox
from session_service.adapters.edge_stream.queries import EdgeQueries
from session_service.adapters.edge_stream.replies import EdgeReplies
from session_service.adapters.edge_stream.servicer import EdgeStreamServicer
from session_service.adapters.engine_sqlite.engine import SqliteEngine
from session_service.adapters.engine_sqlite.ops import WriterSettings
from session_service.adapters.grpc_caller import Callers
from session_service.adapters.grpc_codec import framed_delivery
from session_service.adapters.grpc_sessions import SessionServicer
from session_service.adapters.grpc_threads import ThreadServicer
from session_service.adapters.live_channels import LiveChannels
from session_service.adapters.metrics_prometheus import EngineMetrics, StreamMetrics
from session_service.adapters.publishing import Publisher
from session_service.core.hub import Hub
from session_service.core.retention import RetentionPolicy, RetentionRule
from session_service.core.ring import RingBudget
from session_service.core.sessions import Edge
from tests.fuzz.worlds.grpc_call import SERVICE_TOKEN

TIMEOUT_S: Final = 15.0
MAX_MESSAGE_BYTES: Final = 1024
_OUTBOX_BYTES: Final = 1 << 24
_KEEPS_ALL: Final = RetentionPolicy(RetentionRule(1 << 30, 1e9, 1 << 40))


@dataclass(frozen=True)
class SessionWorld:
    """Everything that a call can reach."""

    engine: SqliteEngine
    sessions: SessionServicer
    threads: ThreadServicer
    edges: EdgeStreamServicer


@asynccontextmanager
async def session_world(folder: Path) -> AsyncIterator[SessionWorld]:
    """Open a session service on an empty store. Who calls shows the service token, so no key is ever verified."""
    clock, numbers = SystemClock(), itertools.count(1)
    engine = SqliteEngine(
        folder / "session.db",
        WriterSettings(
            _KEEPS_ALL,
            max_threads=20,
            now_s=clock.now,
            monotonic_s=clock.monotonic,
            new_epoch=lambda: f"epoch-{next(numbers)}",
        ),
        timeout_s=TIMEOUT_S,
        metrics=EngineMetrics(CollectorRegistry()),
    )
    hub = Hub(RingBudget(20, 1 << 16, 1 << 20))
    metrics = StreamMetrics(CollectorRegistry())
    cluster = LocalCluster(hub, clock, quiet_s=0.0)
    live = LiveChannels(
        hub,
        engine,
        cluster,
        clock,
        metrics,
        service_id="fuzz",
        edge_grace_s=60.0,
        linger_s=60.0,
        max_channels=100,
        framed_delivery=framed_delivery,
    )
    publisher, queries = Publisher(engine, MAX_MESSAGE_BYTES), ChannelQueries(engine, cluster)
    verifier: Any = None
    callers = Callers(verifier, SERVICE_TOKEN)

    def new_id() -> str:
        return f"id-{next(numbers)}"

    def commands_of(edge: Edge, outbox: EdgeOutbox) -> EdgeCommands:
        return EdgeCommands(live, publisher, EdgeQueries(queries), edge, EdgeReplies(outbox, metrics), new_id)

    await engine.start(live)
    try:
        await cluster.start(live)
        await live.start()
        yield SessionWorld(
            engine,
            SessionServicer(callers, publisher, queries, cluster, new_id),
            ThreadServicer(callers, engine, new_id),
            EdgeStreamServicer(
                callers,
                live,
                commands_of,
                metrics,
                service_id="fuzz",
                max_outbox_bytes=_OUTBOX_BYTES,
                max_edges=4,
            ),
        )
    finally:
        live.stop()
        await cluster.close()
        await engine.close()
