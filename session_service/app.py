"""Puts the session service together: the one place that knows every part."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Any, Final

from prometheus_client import REGISTRY
from tidewire.session.v1 import session_pb2, session_pb2_grpc, threads_pb2, threads_pb2_grpc

from service_runtime.clock import SystemClock
from service_runtime.debugging.admin_server import serve_debugging
from service_runtime.grpc_server import GrpcServer
from service_runtime.logs import get_logger
from service_runtime.loop_lag import LoopLag
from service_runtime.metrics import Tally, serve_metrics
from service_runtime.process import announce_ready
from service_runtime.redis_address import RedisAddress
from service_runtime.rpc_metrics import RpcMetrics
from service_runtime.tasks import end_tasks
from service_runtime.tls import client_tls
from service_runtime.tracing.grpc_calls import client_interceptors, server_interceptors
from service_runtime.tracing.tracing import LEFT_OUT, open_tracing
from session_service.adapters.channel_queries import ChannelQueries
from session_service.adapters.cluster_local import LocalCluster
from session_service.adapters.cluster_redis.cluster import SharedCluster
from session_service.adapters.debug_listings import session_listings
from session_service.adapters.edge_stream.commands import EdgeCommands
from session_service.adapters.edge_stream.outbox import EdgeOutbox
from session_service.adapters.edge_stream.queries import EdgeQueries
from session_service.adapters.edge_stream.replies import EdgeReplies
from session_service.adapters.edge_stream.servicer import SERVICE_NAME, EdgeStreamServicer
from session_service.adapters.engine_redis import renewal as redis_renewal
from session_service.adapters.engine_redis.engine import RedisEngine
from session_service.adapters.engine_sqlite import renewal as sqlite_renewal
from session_service.adapters.engine_sqlite.engine import SqliteEngine
from session_service.adapters.engine_sqlite.ops import WriterSettings
from session_service.adapters.engine_watch import EngineWatch
from session_service.adapters.grpc_caller import Callers
from session_service.adapters.grpc_codec import framed_delivery
from session_service.adapters.grpc_sessions import SessionServicer
from session_service.adapters.grpc_threads import ThreadServicer
from session_service.adapters.live_channels import LiveChannels
from session_service.adapters.metrics_prometheus import ClusterMetrics, EngineMetrics, StreamMetrics
from session_service.adapters.publishing import Publisher
from session_service.adapters.redis_access.commands import RedisSettings
from session_service.adapters.tracing import TracedAppends, TracedDeliveries, TracedEdgeCommands, TracedReplies
from session_service.core.errors import SessionError
from session_service.core.hub import Hub
from session_service.core.ports import Cluster, Engine
from session_service.core.ring import RingBudget
from session_service.core.sessions import Edge
from session_service.settings import SessionSettings
from tidewire_client.debug_access import DebugAccess
from tidewire_client.verifier import KeyVerifier
from tidewire_client.verifier_metrics import VerifierCollector

SERVICE: Final = "session"
SERVICE_NAMES: Final = (
    SERVICE_NAME,
    session_pb2.DESCRIPTOR.services_by_name["SessionService"].full_name,
    threads_pb2.DESCRIPTOR.services_by_name["ThreadService"].full_name,
)
EMBEDDED_ID: Final = "embedded"
"""Names the canaries of the one process that a SQLite file has, the same after each restart; on Redis each has its own."""
EPOCH_BYTES: Final = 9
CANARY_AGAIN_S: Final = 0.2

log = get_logger("session_service")


def new_id() -> str:
    """Return 96 random bits as 16 characters of `A-Z a-z 0-9 _ -`."""
    return secrets.token_urlsafe(12)


class SessionServer:
    """One session service process.

    Args:
        settings: What the operator set.
    """

    def __init__(self, settings: SessionSettings) -> None:
        self._settings = settings
        self._metrics = StreamMetrics(REGISTRY)
        self._tracing = open_tracing(
            SERVICE, settings, Tally("tidewire_session_traces_left_out", LEFT_OUT, REGISTRY).inc
        )
        deliveries = None if self._tracing is None else TracedDeliveries(self._tracing)
        self._loop_lag = LoopLag("tidewire_session", REGISTRY)
        hub = Hub(
            RingBudget(settings.ring_messages, settings.ring_bytes, settings.rings_total_bytes),
            on_gap=self._metrics.gaps.inc,
        )
        self._engine, self._cluster = _store(settings, hub)
        self._live = LiveChannels(
            hub,
            self._engine,
            self._cluster,
            SystemClock(),
            self._metrics,
            service_id=EMBEDDED_ID if settings.redis_address is None else new_id(),
            edge_grace_s=settings.edge_grace_s,
            linger_s=settings.channel_linger_s,
            max_channels=settings.max_active_channels,
            max_members=settings.max_members,
            framed_delivery=framed_delivery if deliveries is None else deliveries.framed,
        )
        self._watch = EngineWatch(
            self._live, self._engine, self._metrics, new_id, patience_s=settings.canary_patience_s
        )
        name = "sqlite" if settings.redis_address is None else "redis"
        appender = self._engine if deliveries is None else TracedAppends(self._engine, deliveries, name)
        self._publisher = Publisher(appender, settings.max_message_bytes)
        self._queries = ChannelQueries(self._engine, self._cluster)
        self._verifier = KeyVerifier(
            settings.auth_target,
            service_token=settings.service_token_value(),
            credentials=client_tls(settings),
            deadline_s=settings.auth_deadline_s,
            interceptors=client_interceptors(self._tracing),
        )
        REGISTRY.register(VerifierCollector("tidewire_session_verifier", self._verifier))
        self._callers = Callers(self._verifier, settings.service_token_value(), settings.service_certificates)
        self._edges = EdgeStreamServicer(
            self._callers,
            self._live,
            self._commands_of,
            self._metrics,
            service_id=new_id(),
            max_outbox_bytes=settings.max_edge_outbox_bytes,
            max_edges=settings.max_edges,
        )
        self._server = self._make_server()

    def _commands_of(self, edge: Edge, outbox: EdgeOutbox) -> EdgeCommands:
        parts: dict[str, Any] = {
            "live": self._live,
            "publisher": self._publisher,
            "queries": EdgeQueries(self._queries),
            "edge": edge,
            "new_id": new_id,
        }
        if self._tracing is None:
            return EdgeCommands(replies=EdgeReplies(outbox, self._metrics), **parts)
        return TracedEdgeCommands(self._tracing, TracedReplies(outbox, self._metrics), **parts)

    def _make_server(self) -> GrpcServer:
        server = GrpcServer(
            self._settings,
            host=self._settings.host,
            port=self._settings.port,
            interceptors=(RpcMetrics("tidewire_session", REGISTRY), *server_interceptors(self._tracing)),
        )
        server.server.add_generic_rpc_handlers((self._edges.handler(),))
        session_pb2_grpc.add_SessionServiceServicer_to_server(
            SessionServicer(self._callers, self._publisher, self._queries, self._cluster, new_id), server.server
        )
        threads_pb2_grpc.add_ThreadServiceServicer_to_server(
            ThreadServicer(self._callers, self._engine, new_id), server.server
        )
        return server

    async def serve(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then drain.

        Raises:
            SessionError: the message store cannot be opened.
            PortTakenError: another process listens on the port.
        """
        async with self._running(), contextlib.AsyncExitStack() as ending:
            admission, listings = DebugAccess(self._verifier), session_listings(self._live.hub, self._edges)
            facts = await serve_debugging(self._settings, admission, listings, ending)
            exporter = serve_metrics(
                self._settings.metrics_port, lambda: self._server.serving, host=self._settings.metrics_host
            )
            if exporter:
                facts["metrics_port"] = exporter.port
                ending.callback(exporter.stop)
            ending.push_async_callback(self._end_calls)
            port = await self._server.start(SERVICE_NAMES)
            announce_ready(self._settings, SERVICE, host=self._settings.host, port=port, **facts)
            proving, looking = asyncio.create_task(self._prove_engine()), asyncio.create_task(self._loop_lag.run())
            ending.push_async_callback(end_tasks, proving, looking)
            await stop.wait()

    async def _end_calls(self) -> None:
        """Send the edges elsewhere, take no new calls, and give those under way their time."""
        await self._server.set_serving(False)
        self._live.drain()
        self._edges.drain()
        await self._server.stop(self._settings.shutdown_grace_s)

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        """Open the store, and close it after everything that uses it."""
        await self._start_engine()
        try:
            await self._cluster.start(self._live)
            await self._live.start()
            await self._verifier.start()
            await self._watch.prove(self._settings.engine_timeout_s)
            yield
        finally:
            self._live.stop()
            await self._verifier.close()
            await self._cluster.close()
            await self._engine.close()
            if self._tracing is not None:
                await asyncio.to_thread(self._tracing.close)

    async def _start_engine(self) -> None:
        """Open the store; one that cannot be opened is named in the log, without its password."""
        try:
            await self._engine.start(self._live)
        except SessionError:
            address = self._settings.redis_address
            log.error("no message store", store=str(self._settings.store_path) if address is None else address.shown)
            raise

    async def _prove_engine(self) -> None:
        """Report this process as serving only while a canary comes back through the store (`design.md`, decision 9)."""
        while True:
            await asyncio.sleep(self._settings.canary_interval_s if self._watch.healthy else CANARY_AGAIN_S)
            healthy_before = self._watch.healthy
            await self._watch.look()
            if self._watch.healthy != healthy_before:
                await self._server.set_serving(self._watch.healthy)


def new_epoch() -> str:
    """Return a name that no epoch had."""
    return secrets.token_urlsafe(EPOCH_BYTES)


async def renew_epochs(settings: SessionSettings) -> int:
    """Give every channel of the store another epoch; return how many there are.

    For a store that was put back from a backup, before any service runs on it: messages that were stored after the backup are
    gone, and their offsets would be given out twice.

    Raises:
        SessionError: the store cannot be used, or a service uses its file.
    """
    if settings.redis_address is None:
        return await asyncio.to_thread(sqlite_renewal.renew_epochs, settings.store_path, new_epoch)
    redis = _redis_settings(settings, settings.redis_address)
    return await redis_renewal.renew_epochs(redis, settings.engine_timeout_s)


def _store(settings: SessionSettings, hub: Hub) -> tuple[Engine, Cluster]:
    """Return the engine that the settings name, and what this process shares with others that use it."""
    if settings.redis_address is None:
        return _sqlite_engine(settings), LocalCluster(hub, SystemClock(), quiet_s=settings.edge_grace_s)
    engine = _redis_engine(settings, settings.redis_address)
    cluster = SharedCluster(
        hub,
        engine.servers,
        process=new_id(),
        namespace=settings.redis_namespace,
        lease_s=settings.service_lease_s,
        metrics=ClusterMetrics(REGISTRY),
    )
    return engine, cluster


def _sqlite_engine(settings: SessionSettings) -> SqliteEngine:
    clock = SystemClock()
    writer = WriterSettings(
        retention=settings.retention,
        idempotency_window_s=settings.idempotency_window_s,
        max_file_bytes=settings.engine_max_file_bytes,
        max_threads=settings.max_threads,
        now_s=clock.now,
        monotonic_s=clock.monotonic,
        new_epoch=new_epoch,
    )
    return SqliteEngine(
        settings.store_path,
        writer,
        timeout_s=settings.engine_timeout_s,
        max_pending=settings.engine_max_pending,
        max_pending_bytes=settings.engine_max_pending_bytes,
        metrics=EngineMetrics(REGISTRY),
    )


def _redis_settings(settings: SessionSettings, address: RedisAddress) -> RedisSettings:
    return RedisSettings(
        address,
        settings.retention,
        namespace=settings.redis_namespace,
        idempotency_window_s=settings.idempotency_window_s,
        max_threads=settings.max_threads,
        wait_replicas=settings.redis_wait_replicas,
        new_epoch=new_epoch,
    )


def _redis_engine(settings: SessionSettings, address: RedisAddress) -> RedisEngine:
    return RedisEngine(
        _redis_settings(settings, address),
        timeout_s=settings.engine_timeout_s,
        max_pending=settings.engine_max_pending,
        max_pending_bytes=settings.engine_max_pending_bytes,
        metrics=EngineMetrics(REGISTRY),
    )
