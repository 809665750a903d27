"""Settings of the session service."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

from pydantic import Field, JsonValue, SecretStr, field_validator, model_validator

from service_runtime.redis_address import FORMS, RedisAddress, is_redis_url, parse_redis_address
from service_runtime.settings import ServiceSettings, settings_config
from session_service.core.ports import MAX_LEASE_S
from session_service.core.retention import MAX_BOUND, RetentionPolicy, RetentionRule, parse_rules

STORE_FILE: Final = "session.db"
_SQLITE: Final = "sqlite://"
_MIB: Final = 1024 * 1024


def _unit(unit: str) -> dict[str, JsonValue]:
    return {"unit": unit}


def _is_file_url(url: str) -> bool:
    return url.startswith(f"{_SQLITE}/") and len(url) > len(_SQLITE) + 1


class SessionSettings(ServiceSettings):
    """What an operator can set for the session service."""

    model_config = settings_config("SESSION")

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(50052, ge=0, le=65535, description="Port to listen on; 0: any free one")
    data_dir: Path = Field(Path(".tidewire"), description="Folder of the message store")
    engine_url: SecretStr | None = Field(
        None,
        description="Message store: sqlite:///path/to/file, or a Redis with the password in the URL: redis://host:port,"
        " rediss:// for TLS, unix:///path, redis+sentinel://host:port,host:port/service,"
        " redis+cluster://host:port,host:port; not set: the file session.db in the data folder",
    )
    caller_certificates: str = Field(
        "",
        description="Names of client certificates that stand in for the service token, several with semicolons: a URI, a"
        " DNS name or the common name; needs mutual TLS",
    )
    redis_namespace: str = Field(
        "tidewire",
        pattern=r"^[A-Za-z0-9_.:-]{1,64}$",
        description="Begins the name of every key in Redis, so that several installations may share one",
    )
    redis_wait_replicas: int = Field(
        0,
        ge=0,
        le=16,
        description="Replicas of Redis that must have a message before it is confirmed",
        json_schema_extra=_unit("replicas"),
    )
    engine_timeout_s: float = Field(
        5.0,
        gt=0,
        le=60,
        description="Time that one call of the message store may take",
        json_schema_extra=_unit("seconds"),
    )
    engine_max_pending: int = Field(
        50_000, ge=1, description="Messages that may wait to be stored", json_schema_extra=_unit("messages")
    )
    engine_max_pending_bytes: int = Field(
        64 * _MIB, ge=_MIB, description="Bytes that may wait to be stored", json_schema_extra=_unit("bytes")
    )
    engine_max_file_bytes: int = Field(
        0,
        ge=0,
        description="How large the SQLite file may grow; 0: as the disk allows",
        json_schema_extra=_unit("bytes"),
    )

    retention_messages: int = Field(
        10_000, ge=1, le=MAX_BOUND, description="Newest messages kept of a channel", json_schema_extra=_unit("messages")
    )
    retention_age_s: float = Field(
        7 * 86_400.0, gt=0, le=MAX_BOUND, description="How long messages are kept", json_schema_extra=_unit("seconds")
    )
    retention_bytes: int = Field(
        64 * _MIB, ge=1024, le=MAX_BOUND, description="Newest bytes kept of a channel", json_schema_extra=_unit("bytes")
    )
    retention_rules: str = Field(
        "",
        description="Other bounds by channel pattern, first match counts: pattern=messages,seconds,bytes; pattern=...",
    )
    idempotency_window_s: float = Field(
        300.0,
        gt=0,
        le=MAX_BOUND,
        description="How long the same id of the same client in a channel is stored once",
        json_schema_extra=_unit("seconds"),
    )
    max_message_bytes: int = Field(
        65_536, ge=256, le=_MIB, description="Largest `data` of a message", json_schema_extra=_unit("bytes")
    )
    max_threads: int = Field(
        100_000, ge=1, description="Threads a workspace may have", json_schema_extra=_unit("threads")
    )

    auth_target: str = Field("127.0.0.1:50051", description="gRPC target of the auth services, for calls of back ends")
    auth_deadline_s: float = Field(
        2.0, gt=0, description="Time for an answer of the auth service", json_schema_extra=_unit("seconds")
    )

    ring_messages: int = Field(
        1024,
        ge=1,
        description="Newest messages of an active channel kept in memory",
        json_schema_extra=_unit("messages"),
    )
    ring_bytes: int = Field(
        _MIB, ge=1024, description="The same, in bytes of a channel", json_schema_extra=_unit("bytes")
    )
    rings_total_bytes: int = Field(
        256 * _MIB, ge=_MIB, description="The same, in bytes of all channels", json_schema_extra=_unit("bytes")
    )
    max_active_channels: int = Field(
        1_000_000, ge=1, description="Channels in use at once", json_schema_extra=_unit("channels")
    )
    max_members: int = Field(
        40_000,
        ge=1,
        description="Members that a channel may have by this service; no more can be listed in any case",
        json_schema_extra=_unit("members"),
    )
    channel_linger_s: float = Field(
        10.0, gt=0, description="How long a channel without members stays in memory", json_schema_extra=_unit("seconds")
    )
    max_edges: int = Field(1000, ge=1, description="Edges attached at once", json_schema_extra=_unit("edges"))
    edge_grace_s: float = Field(
        10.0,
        ge=0,
        description="How long the clients of an edge that went away count as present",
        json_schema_extra=_unit("seconds"),
    )
    service_lease_s: float = Field(
        10.0,
        ge=0.5,
        le=MAX_LEASE_S,
        description="On Redis: how long the clients of a session service that went away count as present",
        json_schema_extra=_unit("seconds"),
    )
    max_edge_outbox_bytes: int = Field(
        64 * _MIB, ge=4 * _MIB, description="What may wait for one edge", json_schema_extra=_unit("bytes")
    )
    canary_interval_s: float = Field(
        1.0, gt=0, description="Time between canaries through the message store", json_schema_extra=_unit("seconds")
    )
    canary_patience_s: float = Field(
        2.0,
        gt=0,
        description="Time in which a canary must come back; else the service is not ready, and listens to the store anew",
        json_schema_extra=_unit("seconds"),
    )

    @model_validator(mode="after")
    def _certificates_are_demanded(self) -> Self:
        if self.service_certificates and not self.tls_client_auth:
            raise ValueError("caller_certificates needs tls_client_auth: without it callers show no certificate")
        return self

    @property
    def service_certificates(self) -> frozenset[str]:
        """Names of client certificates that stand in for the service token."""
        return frozenset(filter(None, (name.strip() for name in self.caller_certificates.split(";"))))

    @field_validator("engine_url")
    @classmethod
    def _known_engine(cls, url: SecretStr | None) -> SecretStr | None:
        text = url.get_secret_value() if url else ""
        if text and not _is_file_url(text):
            if not text.startswith(("redis", "unix:")):
                raise ValueError(f"must be sqlite:///path/to/file, {FORMS}")
            parse_redis_address(text)
        return url if text else None

    @field_validator("retention_rules")
    @classmethod
    def _good_rules(cls, text: str) -> str:
        parse_rules(text)
        return text

    @property
    def redis_address(self) -> RedisAddress | None:
        """Where the message store is, password included, if it is a Redis."""
        url = self._engine_url
        return parse_redis_address(url) if is_redis_url(url) else None

    @property
    def store_path(self) -> Path:
        """The file of the message store, if it is one."""
        url = self._engine_url
        return Path(url.removeprefix(_SQLITE)) if url else self.data_dir / STORE_FILE

    @property
    def _engine_url(self) -> str:
        return self.engine_url.get_secret_value() if self.engine_url else ""

    @property
    def retention(self) -> RetentionPolicy:
        """What is kept of which channel."""
        default = RetentionRule(self.retention_messages, self.retention_age_s, self.retention_bytes)
        return RetentionPolicy(default, parse_rules(self.retention_rules))
