"""Asks the services if they can do their work: the edge by `/ready`, the others by grpc.health.v1."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scripts.supervision.edge_tls import unverified_context
from scripts.supervision.services import ServicePlan
from service_runtime.grpc_channel import open_channel
from service_runtime.tls import client_tls

DEADLINE_S: Final = 2.0
EDGE: Final = "edge"


class Probes:
    """One question to each service.

    Args:
        plans: The services.
        addresses: Where they are, by name; filled by the supervisor.
    """

    def __init__(self, plans: Sequence[ServicePlan], addresses: Mapping[str, str]) -> None:
        self._plans = {plan.name: plan for plan in plans}
        self._addresses = addresses
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def problem(self, service: str) -> str | None:
        """Return why a service cannot do its work; None when it can."""
        if service not in self._addresses:
            return "starting"
        try:
            if self._plans[service].kind.serves_grpc:
                return await self._grpc_problem(service)
            async with asyncio.timeout(DEADLINE_S):
                return await edge_problem(self._addresses[service], edge_context(self._plans[EDGE]))
        except TimeoutError:
            return f"no answer within {DEADLINE_S:g} s"
        except OSError as error:
            return f"no connection: {error.strerror or error}"

    async def close(self) -> None:
        """Close what is open."""
        for channel in self._channels.values():
            await channel.close()

    async def _grpc_problem(self, service: str) -> str | None:
        stub = health_pb2_grpc.HealthStub(self._channel(service))
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            return f"health check: {error.code().name.lower().replace('_', ' ')}"
        serving = answer.status == health_pb2.HealthCheckResponse.SERVING
        return None if serving else "it says that it is not serving"

    def _channel(self, service: str) -> grpc.aio.Channel:
        if service not in self._channels:
            secure = self._plans[service].settings.tls_cert_file is not None
            tls = client_tls(self._plans[EDGE].settings) if secure else None
            self._channels[service] = open_channel(self._addresses[service], tls)
        return self._channels[service]


def edge_context(plan: ServicePlan) -> ssl.SSLContext | None:
    """Return what the edge is asked with over HTTPS; None if it speaks plain text."""
    secure = getattr(plan.settings, "public_tls_cert_file", None) is not None
    return unverified_context() if secure else None


async def edge_problem(address: str, tls: ssl.SSLContext | None = None) -> str | None:
    """Return why the edge at `host:port` is not ready; None when it is.

    Raises:
        OSError: it cannot be asked.
    """
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=tls)
    try:
        writer.write(f"GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    return _reason(head, body)


def _reason(head: bytes, body: bytes) -> str | None:
    status = head.split(b" ", 2)[1:2]
    if status == [b"200"]:
        return None
    try:
        return str(json.loads(body)["reason"])
    except (ValueError, KeyError, TypeError):
        return "its answer to /ready is not understood"
