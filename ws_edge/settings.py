"""Settings of the edge."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Final, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from service_runtime.settings import ServiceSettings, settings_config
from service_runtime.tls_files import TlsFiles

MAX_PORT: Final = 65_535


def _unit(unit: str) -> dict[str, JsonValue]:
    return {"unit": unit}


class EdgeSettings(ServiceSettings):
    """What an operator can set for the WebSocket edge."""

    model_config = settings_config("EDGE")

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all")
    port: int = Field(8000, ge=0, le=65535, description="Port for WebSocket and HTTP; 0: any free one")
    auth_target: str = Field("127.0.0.1:50051", description="gRPC target of the auth services")
    session_target: str = Field("127.0.0.1:50052", description="gRPC target of the session services")
    allowed_origins: str = Field(
        "auto",
        description="Pages that may connect, by comma; `*`: all; auto: http://localhost:5173 in development, none "
        "in production; the edge's own origin always may",
    )
    public_tls_cert_file: Path | None = Field(
        None,
        description="Certificate chain (PEM) of the public port, which speaks HTTPS and WSS then; not set: plain text, for a"
        " proxy that ends TLS",
    )
    public_tls_key_file: Path | None = Field(None, description="Private key (PEM) of that certificate")
    trusted_proxies: str = Field(
        "127.0.0.0/8,::1",
        description="Networks of the proxies before the edge, by comma: their X-Forwarded-For says where clients come "
        "from, and failed attempts are never counted by their own addresses",
    )
    proxy_protocol: bool = Field(
        False,
        description="Connections of trusted proxies begin with a PROXY header (version 1 or 2), which says where clients"
        " come from; for proxies that pass bytes on",
    )
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that share the port; each is an edge of its own, with its own label in the metrics, which are"
        " on metrics_port and the ports behind it, as those of admin_port are",
        json_schema_extra=_unit("processes"),
    )
    worker: int = Field(
        0,
        ge=0,
        le=64,
        description="Which of several workers this is, set by the process that starts them; 0: none of them",
    )
    debug_endpoint: bool | None = Field(
        None, description="Serve /debug/client_{client_id}; not set: in development only"
    )

    max_connections: int = Field(
        20_000,
        ge=1,
        description="Connections at once; more are told to try again later",
        json_schema_extra=_unit("connections"),
    )
    max_frame_bytes: int = Field(
        65_536,
        ge=1024,
        le=1_048_576,
        description="Largest frame of a client",
        json_schema_extra=_unit("bytes"),
    )
    max_message_bytes: int = Field(
        61_440,
        ge=256,
        le=1_048_576,
        description="Largest `data` of a message",
        json_schema_extra=_unit("bytes"),
    )
    frames_per_second: int = Field(
        200,
        ge=0,
        description="Frames of one connection; 0: no limit",
        json_schema_extra=_unit("frames per second"),
    )
    frames_burst: int = Field(
        400, ge=1, description="Frames one connection may send at once", json_schema_extra=_unit("frames")
    )
    bytes_per_second: int = Field(
        1_048_576,
        ge=0,
        description="Bytes of one connection; 0: no limit",
        json_schema_extra=_unit("bytes per second"),
    )
    rate_limit_warnings: int = Field(
        20,
        ge=0,
        description="Refused frames in a row before a connection is closed with 4001",
        json_schema_extra=_unit("frames"),
    )
    max_channels: int = Field(100, ge=1, description="Channels of one connection", json_schema_extra=_unit("channels"))
    max_outbox_bytes: int = Field(
        1_048_576,
        ge=65_536,
        description="Unread bytes at which a client is too slow",
        json_schema_extra=_unit("bytes"),
    )
    max_replay_bytes: int = Field(
        16_777_216,
        ge=1_048_576,
        description="The same of what a client asked for (history, missed messages, members), which does not count there",
        json_schema_extra=_unit("bytes"),
    )

    auth_timeout_s: float = Field(
        10.0, gt=0, description="Time for `connect` to come", json_schema_extra=_unit("seconds")
    )
    http_idle_s: float = Field(
        75.0,
        gt=0,
        description="Time after which a connection is closed on which no request comes, or no further one; longer than proxies"
        " keep theirs",
        json_schema_extra=_unit("seconds"),
    )
    heartbeat_s: float = Field(
        25.0, gt=0, description="Time between WebSocket pings", json_schema_extra=_unit("seconds")
    )
    auth_deadline_s: float = Field(
        2.0, gt=0, description="Time for an answer of the auth service", json_schema_extra=_unit("seconds")
    )
    session_deadline_s: float = Field(
        5.0,
        gt=0,
        description="Time for an answer of the session service, retries included",
        json_schema_extra=_unit("seconds"),
    )
    verdict_stale_s: float = Field(
        5.0,
        gt=0,
        description="Silence of the key watch after which verdicts are not trusted",
        json_schema_extra=_unit("seconds"),
    )
    auth_outage_grace_s: float = Field(
        60.0,
        ge=0,
        description="How long known keys go on while the auth service is away",
        json_schema_extra=_unit("seconds"),
    )
    max_pending: int = Field(
        100_000,
        ge=1,
        description="Commands that may wait for the session service",
        json_schema_extra=_unit("commands"),
    )
    canary_interval_s: float = Field(2.0, gt=0, description="Time between canaries", json_schema_extra=_unit("seconds"))
    drain_wait_s: float = Field(
        0.0,
        ge=0,
        description="Time between `not ready` and the first disconnect, for the balancer",
        json_schema_extra=_unit("seconds"),
    )
    drain_s: float = Field(
        1.0,
        ge=0,
        description="Time over which clients are let go, and come back elsewhere",
        json_schema_extra=_unit("seconds"),
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.max_message_bytes > self.max_frame_bytes:
            raise ValueError("max_message_bytes must not be larger than max_frame_bytes")
        if (self.public_tls_cert_file is None) != (self.public_tls_key_file is None):
            raise ValueError("public_tls_cert_file and public_tls_key_file go together")
        if self.metrics_port > 0 and self.metrics_port + self.workers > MAX_PORT + 1:
            raise ValueError("metrics_port leaves no ports for all workers")
        if self.admin_port > 0 and self.admin_port + self.workers > MAX_PORT + 1:
            raise ValueError("admin_port leaves no ports for all workers")
        if self.mode == "production" and self.debug_endpoint:
            raise ValueError("debug_endpoint must be off in production mode")
        return self

    @property
    def public_tls(self) -> TlsFiles | None:
        """What the public port shows; None: it speaks plain text."""
        if self.public_tls_cert_file is None:
            return None
        return TlsFiles(cert=self.public_tls_cert_file, key=self.public_tls_key_file)

    @property
    def proxies(self) -> list[str]:
        """The networks of the trusted proxies."""
        return [network.strip() for network in self.trusted_proxies.split(",") if network.strip()]

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, text: str) -> str:
        for network in text.split(","):
            if network.strip():
                ipaddress.ip_network(network.strip())
        return text

    @property
    def origins(self) -> list[str]:
        """The allowed origins, besides the edge's own."""
        if self.allowed_origins == "auto":
            return ["http://localhost:5173"] if self.mode == "development" else []
        return [origin.strip() for origin in self.allowed_origins.split(",") if origin.strip()]

    @property
    def serves_debug(self) -> bool:
        """Whether the debug endpoint is there."""
        return self.mode == "development" if self.debug_endpoint is None else self.debug_endpoint
