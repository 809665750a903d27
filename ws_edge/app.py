"""The composition root of the edge: makes every part, connects them, and ends them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import CollectorRegistry
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from service_runtime.grpc_channel import open_channel
from service_runtime.http_logs import quiet_about_content
from service_runtime.listening import PortTakenError
from service_runtime.logs import get_logger
from service_runtime.process import announce_ready
from service_runtime.tasks import end_tasks
from service_runtime.tls import client_tls
from service_runtime.tls_files import RELOADS
from service_runtime.tls_http import reloading_context
from tidewire_client.retry import backoff_s
from tidewire_client.verifier import KeyVerifier
from ws_edge.adapters.canary import Canary
from ws_edge.adapters.client_address import ClientAddresses
from ws_edge.adapters.client_socket import SocketParts
from ws_edge.adapters.edge_listener import EdgeListener
from ws_edge.adapters.grpc_session_stream import SessionStream
from ws_edge.adapters.grpc_threads import ThreadsClient
from ws_edge.adapters.heartbeats import Heartbeats
from ws_edge.adapters.http_operations import Operations
from ws_edge.adapters.http_origin import OriginPolicy
from ws_edge.adapters.http_page import Page
from ws_edge.adapters.http_threads import ThreadsApi
from ws_edge.adapters.http_websocket import WebSocketEndpoint
from ws_edge.adapters.key_watcher import KeyWatcher
from ws_edge.adapters.keys_client import VerifiedKeys
from ws_edge.adapters.lingering_close import LingeringCloses
from ws_edge.adapters.metrics_prometheus import EdgeCollector
from ws_edge.core.gateway import Gateway
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
        tls = client_tls(settings)
        token = settings.service_token_value()
        # A stream stays where it is while its session service cannot serve for a moment; it is attached only to one that can.
        self._channel = open_channel(settings.session_target, tls, only_serving=True)
        self._stream = SessionStream(
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
        )
        clock = SystemClock()
        keys = VerifiedKeys(self._verifier)
        self._gateway = Gateway(
            keys=keys,
            link=self._stream.commands,
            clock=clock,
            call_soon=asyncio.get_running_loop().call_soon,
            random=random.random,
            new_id=new_id,
            limits=_limits(settings),
            max_connections=settings.max_connections,
            heartbeat_ms=int(settings.heartbeat_s * 1000),
            on_defect=lambda exc: log.error("defect", exc_info=exc),
        )
        self._watcher.gateway = self._gateway
        self._canary = Canary(
            self._stream,
            new_id,
            interval_s=settings.canary_interval_s,
            patience_s=2.5 * settings.canary_interval_s,
        )
        self._threads = ThreadsClient(
            settings.session_target, tls, service_token=token, deadline_s=settings.session_deadline_s
        )
        self._heartbeats = Heartbeats(settings.heartbeat_s)
        self._closes = LingeringCloses()
        self._addresses = ClientAddresses(settings.proxies)
        self._threads_api = ThreadsApi(self._threads, keys, clock, new_id, settings.max_message_bytes, self._addresses)

    async def serve(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then drain."""
        async with self._running():
            quiet = quiet_about_content(logging.getLogger("ws_edge.http"), HttpProcessingError)
            runner = web.AppRunner(self._application(), access_log=None, logger=quiet, shutdown_timeout=1.0)
            await runner.setup()
            try:
                port = await self._listen(runner)
                announce_ready(self._settings, "edge", port=port)
                await stop.wait()
                await self._drain()
            finally:
                await runner.cleanup()

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        """Run what works in the background."""
        await self._verifier.start()
        self._stream.start(EdgeListener(self._gateway, self._canary))
        tasks = [
            asyncio.create_task(self._canary.run()),
            asyncio.create_task(self._watcher.run()),
            asyncio.create_task(self._heartbeats.run()),
        ]
        try:
            yield
        finally:
            await end_tasks(*tasks)
            await self._stream.stop()
            await self._verifier.close()
            await self._channel.close()
            await self._threads.close()

    async def _listen(self, runner: web.AppRunner) -> int:
        settings = self._settings
        context = reloading_context(settings.public_tls) if settings.public_tls else None
        site = web.TCPSite(runner, settings.host, settings.port, backlog=4096, ssl_context=context)
        try:
            await site.start()
        except OSError:
            raise PortTakenError(settings.host, settings.port) from None
        return int(runner.addresses[0][1])

    def _application(self) -> web.Application:
        settings = self._settings
        origins = OriginPolicy(settings.origins)
        parts = SocketParts(
            self._gateway,
            self._heartbeats,
            self._closes,
            max_frame_bytes=settings.max_frame_bytes,
            auth_timeout_s=settings.auth_timeout_s,
        )
        endpoint = WebSocketEndpoint(parts, origins, self._addresses)
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        registry.register(RELOADS)
        registry.register(EdgeCollector(self._gateway, self._stream, self._canary, self._verifier.stats))
        operations = Operations(self._gateway, self._canary, registry)
        application = web.Application(middlewares=[origins.cors], client_max_size=settings.max_frame_bytes)
        application.add_routes(
            [
                web.get("/health", operations.health),
                web.get("/ready", operations.ready),
                web.get("/metrics", operations.metrics),
                web.get("/client_{client_id}", endpoint.plain, allow_head=False),
                *Page.packaged().routes(),
                *self._threads_api.routes(),
            ]
        )
        if settings.serves_debug:
            application.add_routes([web.get("/debug/client_{client_id}", endpoint.debug, allow_head=False)])
        return application

    async def _drain(self) -> None:
        """Stop as `design.md`, decision 12, has it: not ready, wait, then let clients go, oldest first, in batches."""
        settings = self._settings
        self._gateway.draining = True
        log.info("draining", connections=len(self._gateway.registry))
        await asyncio.sleep(settings.drain_wait_s)
        connections = list(self._gateway.registry)
        size = max(1, -(-len(connections) // DRAIN_BATCHES))
        for start in range(0, len(connections), size):
            for connection in connections[start : start + size]:
                self._gateway.close_for_drain(connection, int(settings.drain_s * 1000))
            await asyncio.sleep(settings.drain_s / DRAIN_BATCHES)
        await self._closes.wait(END_S)


def _limits(settings: EdgeSettings) -> ConnectionLimits:
    return ConnectionLimits(
        max_frame_bytes=settings.max_frame_bytes,
        max_message_bytes=settings.max_message_bytes,
        frames_per_second=settings.frames_per_second,
        frames_burst=settings.frames_burst,
        bytes_per_second=settings.bytes_per_second,
        max_channels=settings.max_channels,
        max_outbox_bytes=settings.max_outbox_bytes,
        rate_limit_warnings=settings.rate_limit_warnings,
    )
