"""The composition root of the edge: makes every part, connects them, and ends them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Iterator

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import CollectorRegistry

from service_runtime.debugging.admin_server import serve_debugging
from service_runtime.grpc_channel import open_channel
from service_runtime.http_listening import listen
from service_runtime.http_logs import quiet_about_content
from service_runtime.logs import get_logger
from service_runtime.loop_lag import LoopLag
from service_runtime.metrics import Tally
from service_runtime.open_files import limit
from service_runtime.process import announce_ready
from service_runtime.tasks import end_tasks
from service_runtime.tls import client_tls
from service_runtime.tls_http import reloading_context
from service_runtime.tracing.grpc_calls import client_interceptors
from service_runtime.tracing.tracing import LEFT_OUT, open_tracing, ticks_outside_work
from tidewire_client.debug_access import DebugAccess
from tidewire_client.retry import backoff_s
from tidewire_client.verifier import KeyVerifier
from tidewire_client.verifier_metrics import VerifierCollector
from ws_edge.adapters.canary import Canary
from ws_edge.adapters.client_address import ClientAddresses
from ws_edge.adapters.client_socket import SocketParts
from ws_edge.adapters.connection_log import log_close, log_defect
from ws_edge.adapters.debug_listings import edge_listings
from ws_edge.adapters.edge_listener import EdgeListener
from ws_edge.adapters.grpc_threads import ThreadsClient
from ws_edge.adapters.heartbeats import Heartbeats
from ws_edge.adapters.http_operations import Operations
from ws_edge.adapters.http_origin import OriginPolicy
from ws_edge.adapters.http_page import Page
from ws_edge.adapters.http_threads import ThreadsApi
from ws_edge.adapters.http_tracing import traced_requests
from ws_edge.adapters.http_websocket import WebSocketEndpoint
from ws_edge.adapters.key_watcher import KeyWatcher
from ws_edge.adapters.keys_client import VerifiedKeys
from ws_edge.adapters.lingering_close import LingeringCloses
from ws_edge.adapters.metrics_prometheus import EdgeCollector, EdgeTimes, new_registry
from ws_edge.adapters.metrics_worker import WorkerLabel
from ws_edge.adapters.proxy_protocol import listen_behind_proxy
from ws_edge.adapters.timed_ticks import timed
from ws_edge.adapters.traced_gateway import TracedGateway, make_gateway
from ws_edge.adapters.traced_stream import make_stream
from ws_edge.core.capacity import connections_within
from ws_edge.core.limits import ConnectionLimits
from ws_edge.settings import EdgeSettings

log = get_logger("ws_edge.app")

DRAIN_BATCHES = 20
# For the last clients to read their last frames, and to close.
END_S = 1.0


class SystemClock:
    """Implements `ws_edge.core.ports.Clock`."""

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Return seconds of a clock that never goes back."""
        return time.monotonic()


def new_id() -> str:
    """Return 96 random bits as 16 characters of `A-Z a-z 0-9 _ -`."""
    return secrets.token_urlsafe(12)


class Edge:
    """One edge process.

    Args:
        settings: What the operator set.
    """

    def __init__(self, settings: EdgeSettings) -> None:
        self._settings = settings
        self._registry = new_registry()
        self._loop_lag = LoopLag("tidewire_edge", self._registry)
        times = EdgeTimes(self._registry)
        tls = client_tls(settings)
        token = settings.service_token_value()
        self._tracing = open_tracing(
            "edge", settings, Tally("tidewire_edge_traces_left_out", LEFT_OUT, self._registry).inc
        )
        traced_calls = client_interceptors(self._tracing)
        # A stream stays where it is while its session service cannot serve for a moment; it is attached only to one that can.
        self._channel = open_channel(settings.session_target, tls, only_serving=True)
        self._stream = make_stream(
            self._tracing,
            self._channel,
            service_token=token,
            edge_id=new_id(),
            deadline_s=settings.session_deadline_s,
            max_pending=settings.max_pending,
            backoff=backoff_s,
        )
        self._watcher = KeyWatcher()
        self._verifier = KeyVerifier(
            settings.auth_target,
            service_token=token,
            credentials=tls,
            deadline_s=settings.auth_deadline_s,
            stale_after_s=settings.verdict_stale_s,
            outage_grace_s=settings.auth_outage_grace_s,
            on_change=self._watcher.key_changed,
            on_resync=self._watcher.resync,
            interceptors=traced_calls,
        )
        clock, loop = SystemClock(), asyncio.get_running_loop()
        self._clock = clock
        keys = VerifiedKeys(self._verifier)
        call_soon = loop.call_soon if self._tracing is None else ticks_outside_work(loop)
        self._gateway = make_gateway(
            self._tracing,
            keys=keys,
            link=self._stream.commands,
            clock=clock,
            call_soon=call_soon,
            flush_soon=timed(call_soon, times.flush.observe),
            random=random.random,
            new_id=new_id,
            limits=_limits(settings),
            max_connections=connections_within(settings.max_connections, limit()),
            heartbeat_ms=int(settings.heartbeat_s * 1000),
            on_defect=log_defect,
            on_close=log_close,
        )
        self._watcher.gateway = self._gateway
        self._canary = Canary(
            self._stream,
            new_id,
            interval_s=settings.canary_interval_s,
            patience_s=2.5 * settings.canary_interval_s,
            observe=times.canary.observe,
        )
        self._registry.register(EdgeCollector(self._gateway, self._stream, self._canary))
        self._registry.register(VerifierCollector("tidewire_edge_verifier", self._verifier))
        self._threads = ThreadsClient(
            settings.session_target,
            tls,
            service_token=token,
            deadline_s=settings.session_deadline_s,
            interceptors=traced_calls,
        )
        self._heartbeats = Heartbeats(settings.heartbeat_s)
        self._closes = LingeringCloses()
        self._addresses = ClientAddresses(settings.proxies)
        self._origins = OriginPolicy(settings.origins)
        self._operations = Operations(self._gateway, self._canary, self._shown_registry())
        self._threads_api = ThreadsApi(self._threads, keys, clock, new_id, settings.max_message_bytes, self._addresses)

    async def serve(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then drain."""
        settings = self._settings
        self._tell_capacity()
        async with self._running(), contextlib.AsyncExitStack() as ending:
            admission, listings = DebugAccess(self._verifier), edge_listings(self._gateway, self._clock)
            facts = await serve_debugging(settings, admission, listings, ending)
            if settings.metrics_port >= 0:
                watched = await self._runner(self._operations.routes(), ending)
                facts["metrics_port"] = await listen(
                    watched, settings.metrics_host, settings.metrics_port, _http_log(), keepalive_s=settings.http_idle_s
                )
            port = await self._listen(await self._runner(self._routes(), ending))
            announce_ready(settings, "edge", port=port, **facts)
            await stop.wait()
            await self._drain()

    @property
    def registry(self) -> CollectorRegistry:
        """The metrics."""
        return self._registry

    async def close(self) -> None:
        """Hang up; the last thing."""
        await self._verifier.close()
        await self._channel.close()
        await self._threads.close()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        """Run what works in the background."""
        await self._verifier.start()
        self._stream.start(EdgeListener(self._gateway, self._canary))
        tasks = [
            asyncio.create_task(self._canary.run()),
            asyncio.create_task(self._watcher.run()),
            asyncio.create_task(self._heartbeats.run()),
            asyncio.create_task(self._loop_lag.run()),
        ]
        try:
            yield
        finally:
            await end_tasks(*tasks)
            await self._stream.stop()
            await self.close()

    async def _runner(self, routes: Iterable[web.AbstractRouteDef], ending: contextlib.AsyncExitStack) -> web.AppRunner:
        traced = [] if self._tracing is None else [traced_requests(self._tracing)]
        application = web.Application(
            middlewares=[*traced, self._origins.cors], client_max_size=self._settings.max_frame_bytes
        )
        application.add_routes(routes)
        runner = web.AppRunner(application, shutdown_timeout=1.0)
        await runner.setup()
        ending.push_async_callback(runner.cleanup)
        return runner

    async def _listen(self, runner: web.AppRunner) -> int:
        settings = self._settings
        tls = reloading_context(settings.public_tls) if settings.public_tls else None
        shared = settings.worker > 0
        if settings.proxy_protocol:
            return await listen_behind_proxy(
                runner,
                settings.host,
                settings.port,
                self._addresses,
                _http_log(),
                settings.http_idle_s,
                tls,
                shared=shared,
            )
        return await listen(
            runner,
            settings.host,
            settings.port,
            _http_log(),
            tls=tls,
            keepalive_s=settings.http_idle_s,
            shared=shared,
        )

    def _shown_registry(self) -> CollectorRegistry:
        """Return the metrics as they are served: of several workers each has its label."""
        if not self._settings.worker:
            return self._registry
        labelled = CollectorRegistry()
        labelled.register(WorkerLabel(self._registry, self._settings.worker))
        return labelled

    def _routes(self) -> Iterator[web.AbstractRouteDef]:
        settings = self._settings
        parts = SocketParts(
            self._gateway,
            self._heartbeats,
            self._closes,
            max_frame_bytes=settings.max_frame_bytes,
            auth_timeout_s=settings.auth_timeout_s,
        )
        adopt = self._gateway.adopt if isinstance(self._gateway, TracedGateway) else None
        endpoint = WebSocketEndpoint(parts, self._origins, self._addresses, adopt)
        yield from self._operations.routes()
        yield from Page.packaged().routes()
        yield web.get("/client_{client_id}", endpoint.plain, allow_head=False)
        yield from self._threads_api.routes()
        if settings.serves_debug:
            yield web.get("/debug/client_{client_id}", endpoint.debug, allow_head=False)

    def _tell_capacity(self) -> None:
        """Say so where fewer connections are taken than the settings allow."""
        wanted, capacity = self._settings.max_connections, self._gateway.registry.max_connections
        if capacity < wanted:
            log.warning(
                "fewer connections than max_connections: the limit of open files is too low",
                open_files=limit(),
                connections=capacity,
                max_connections=wanted,
            )

    async def _drain(self) -> None:
        """Stop as `design.md`, decision 12, has it: not ready, wait, then let clients go, oldest first, in batches."""
        settings = self._settings
        self._gateway.leaving = True
        log.info("draining", connections=len(self._gateway.registry))
        await asyncio.sleep(settings.drain_wait_s)
        self._gateway.draining = True
        connections = list(self._gateway.registry)
        size = max(1, -(-len(connections) // DRAIN_BATCHES))
        for start in range(0, len(connections), size):
            for connection in connections[start : start + size]:
                self._gateway.close_for_drain(connection, int(settings.drain_s * 1000))
            await asyncio.sleep(settings.drain_s / DRAIN_BATCHES)
        await self._closes.wait(END_S)


def _http_log() -> logging.Logger:
    return quiet_about_content(logging.getLogger("ws_edge.http"), HttpProcessingError)


def _limits(settings: EdgeSettings) -> ConnectionLimits:
    return ConnectionLimits(
        max_frame_bytes=settings.max_frame_bytes,
        max_message_bytes=settings.max_message_bytes,
        frames_per_second=settings.frames_per_second,
        frames_burst=settings.frames_burst,
        bytes_per_second=settings.bytes_per_second,
        max_channels=settings.max_channels,
        max_outbox_bytes=settings.max_outbox_bytes,
        max_replay_bytes=settings.max_replay_bytes,
        rate_limit_warnings=settings.rate_limit_warnings,
    )
