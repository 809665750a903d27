"""`/health`, `/ready`, `/metrics`."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from ws_edge.adapters.canary import Canary
from ws_edge.core.gateway import Gateway


class Operations:
    """What operators and balancers ask.

    Args:
        gateway: For its state.
        canary: Proof of delivery.
        registry: The metrics.
    """

    def __init__(self, gateway: Gateway, canary: Canary, registry: CollectorRegistry) -> None:
        self._gateway = gateway
        self._canary = canary
        self._registry = registry

    def routes(self) -> list[web.RouteDef]:
        """Return what is served of it on the public port, and on the one for metrics."""
        return [
            web.get("/health", self.health),
            web.get("/ready", self.ready),
            web.get("/metrics", self.metrics),
        ]

    async def health(self, request: web.Request) -> web.Response:
        """Say that the process lives."""
        return web.json_response({"status": "ok", "connections": len(self._gateway.registry)})

    async def ready(self, request: web.Request) -> web.Response:
        """Say if this edge can deliver, and if not, why."""
        problem = "draining" if self._gateway.leaving else self._canary.problem()
        if problem is not None:
            return web.json_response({"status": "not ready", "reason": problem}, status=503)
        round_trip_ms = round(self._canary.round_trip_s * 1000, 3)
        return web.json_response({"status": "ready", "canary_ms": round_trip_ms})

    async def metrics(self, request: web.Request) -> web.Response:
        """Return the metrics as Prometheus text."""
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
