"""The gRPC server of a service: bounds, keepalive, TLS, health and reflection."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from service_runtime.grpc_channel import KEEPALIVE_MS, MAX_MESSAGE_BYTES
from service_runtime.listening import PortTakenError
from service_runtime.settings import ServiceSettings
from service_runtime.tls import server_credentials

_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", 5000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
    ("grpc.http2.max_ping_strikes", 0),
)


class GrpcServer:
    """A gRPC server with health and reflection; `serving` is what it says to health checks.

    Args:
        settings: For TLS.
        host: Address to listen on.
        port: Port to listen on; 0: any free one.
        interceptors: Run for each call, in order.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        host: str,
        port: int,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    ) -> None:
        self._host = host
        self._port = port
        self._credentials = server_credentials(settings)
        self.server = grpc.aio.server(interceptors=list(interceptors), options=_OPTIONS)
        self._health = health.aio.HealthServicer()
        self._names: list[str] = []
        self.serving = False

    async def start(self, service_names: Sequence[str]) -> int:
        """Listen, and report the named services as serving.

        Args:
            service_names: Full names, e.g. `tidewire.auth.v1.AuthService`.

        Returns:
            The port.

        Raises:
            PortTakenError: It cannot listen there.
        """
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.server)
        shown = (*service_names, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(shown, self.server)
        address = f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"
        try:
            if self._credentials is None:
                port = self.server.add_insecure_port(address)
            else:
                port = self.server.add_secure_port(address, self._credentials)
        except RuntimeError:
            raise PortTakenError(self._host, self._port) from None
        await self.server.start()
        self._names = ["", *service_names]
        await self.set_serving(True)
        return int(port)

    async def set_serving(self, serving: bool) -> None:
        """Say to health checks if this process can do its work."""
        self.serving = serving
        kinds = health_pb2.HealthCheckResponse
        status = kinds.SERVING if serving else kinds.NOT_SERVING
        for name in self._names:
            await self._health.set(name, status)

    async def stop(self, grace_s: float) -> None:
        """Take no new calls, let running ones finish for `grace_s` seconds, then end."""
        self.serving = False
        await self._health.enter_graceful_shutdown()
        await self.server.stop(grace_s)
