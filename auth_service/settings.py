"""Settings of the auth service."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic.config import JsonDict

from auth_service.core.callers import Certificates, parse_certificates
from auth_service.core.errors import PepperError
from auth_service.core.hashing import parse_peppers
from service_runtime.redis_address import FORMS, RedisAddress, parse_redis_address
from service_runtime.settings import ServiceSettings, settings_config

STORE_FILE: Final = "auth.db"
PEPPER_FILE: Final = "pepper.json"
_SQLITE: Final = "sqlite://"
_ESCAPED: Final = "special characters of a password are written as %XX"
_SECONDS: Final[JsonDict] = {"unit": "seconds"}


Network = IPv4Network | IPv6Network


def parse_networks(text: str) -> tuple[Network, ...]:
    """Return networks that are written with commas between them.

    Raises:
        ValueError: one is none.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def _is_file_url(url: str) -> bool:
    return url.startswith(f"{_SQLITE}/") and len(url) > len(_SQLITE) + 1


def _is_redis_url(url: str) -> bool:
    """Return whether a URL is meant to name a Redis, rightly or not."""
    return url.partition(":")[0].partition("+")[0] in ("redis", "rediss", "unix")


class AuthSettings(ServiceSettings):
    """What an operator can set for the auth service."""

    model_config = settings_config("AUTH")

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(50051, ge=0, le=65535, description="Port to listen on; 0: any free one")
    http_host: str = Field("127.0.0.1", description="Address to listen on for HTTP")
    http_port: int = Field(
        -1,
        ge=-1,
        le=65535,
        description="Port for HTTP: forward authorization, introspection, verification; -1: none, 0: any free one",
    )
    http_trusted_peers: str = Field(
        "",
        description="Networks, by comma, whose hosts may ask for forward authorization without a credential, such as"
        " 10.0.0.5/32; for proxies that cannot send one",
    )
    http_deadline_s: float = Field(
        10.0, gt=0, le=60, description="Time that a request over HTTP may take", json_schema_extra=_SECONDS
    )
    data_dir: Path = Field(Path(".tidewire"), description="Folder of the key store and the pepper file")
    store_url: SecretStr | None = Field(
        None,
        description="Key store: sqlite:///path/to/file, or with the password in it redis://host:port,"
        " rediss://host:port (TLS), unix:///path, redis+sentinel://host:port,host:port/service or"
        " redis+cluster://host:port,host:port; not set: the file auth.db in the data folder",
    )
    store_namespace: str = Field(
        "tidewire",
        pattern=r"^[A-Za-z0-9_.:-]{1,64}$",
        description="Begins the name of every key in Redis, so that several installations may share one",
    )
    pepper: SecretStr | None = Field(
        None,
        description="What secrets are hashed under: version:secret, current one first, several with commas;"
        " not set: pepper.json in the data folder, made once",
    )
    development_keys: bool | None = Field(
        None, description="Know the development keys by name; not set: in development mode only"
    )
    verdict_cache_ttl_s: float = Field(
        30.0, ge=0, le=3600, description="How long a verdict may be used without a watch", json_schema_extra=_SECONDS
    )
    failed_attempts_per_minute: int = Field(
        10,
        ge=0,
        le=1_000_000,
        description="Failed attempts a minute from one address with keys that begin alike; 0: any number",
    )
    failed_attempts_per_minute_of_address: int = Field(
        100,
        ge=0,
        le=1_000_000,
        description="Failed attempts a minute from one address with any keys; 0: any number",
    )
    failed_attempts_table_size: int = Field(
        50_000,
        ge=1,
        description="Addresses and beginnings of keys with failed attempts that are remembered, and as many keys that were"
        " good at an address",
    )
    record_cache_size: int = Field(20_000, ge=1, description="Key records kept in memory")
    max_keys: int = Field(
        1_000_000,
        ge=1,
        description="Keys in the store, in whatever state; no more are made then, until some are deleted",
    )
    max_watchers: int = Field(256, ge=1, description="Streams of key changes open at once")
    watch_checkpoint_s: float = Field(
        1.0, ge=0.01, le=60, description="Time between checkpoints of a watch", json_schema_extra=_SECONDS
    )
    watch_queue_size: int = Field(10_000, ge=1, description="Key changes that may wait for one watcher")
    change_log_size: int = Field(100_000, ge=1, description="Key changes kept for watchers that come back")
    audit_log_size: int = Field(100_000, ge=1, description="Changes of keys kept in the audit log, with who made them")
    store_timeout_s: float = Field(
        5.0, gt=0, le=60, description="Time that one call of the key store may take", json_schema_extra=_SECONDS
    )

    store_wait_replicas: int = Field(
        0,
        ge=0,
        le=16,
        description="Replicas of Redis that must have a change of a key before it is confirmed",
        json_schema_extra={"unit": "replicas"},
    )

    caller_certificates: str = Field(
        "",
        description="Callers let in by their client certificate alone, and the groups of methods they may call:"
        " name=group,group;name=*, where a name is a URI, a DNS name or the common name of the certificate, and groups are"
        " verify, check, watch, keys.read, keys.write, audit.read; needs mutual TLS",
    )

    canary_interval_s: float = Field(
        1.0, gt=0, description="Time between canaries to the key store and back", json_schema_extra=_SECONDS
    )
    canary_patience_s: float = Field(
        3.0,
        gt=0,
        description="Time in which a canary must be back; else the service says that it is not serving",
        json_schema_extra=_SECONDS,
    )

    @field_validator("store_url")
    @classmethod
    def _known_store(cls, url: SecretStr | None) -> SecretStr | None:
        text = url.get_secret_value() if url else ""
        if _is_redis_url(text):
            try:
                parse_redis_address(text)
            except ValueError as error:
                raise ValueError(f"{error}; {_ESCAPED}") from None
        elif text and not _is_file_url(text):
            raise ValueError(f"must be {_SQLITE}/path/to/file, {FORMS}; {_ESCAPED}")
        return url if text else None

    @field_validator("http_trusted_peers")
    @classmethod
    def _good_networks(cls, text: str) -> str:
        try:
            parse_networks(text)
        except ValueError as error:
            raise ValueError(f"networks such as 10.0.0.0/8, by comma: {error}") from None
        return text

    @field_validator("pepper")
    @classmethod
    def _good_pepper(cls, pepper: SecretStr | None) -> SecretStr | None:
        if pepper is not None:
            try:
                parse_peppers(pepper.get_secret_value())
            except PepperError as error:
                raise ValueError(str(error)) from None
        return pepper

    @field_validator("development_keys")
    @classmethod
    def _never_in_production(cls, wanted: bool | None, info: ValidationInfo) -> bool | None:
        if wanted and info.data.get("mode") == "production":
            raise ValueError("false or not set: production mode never knows development keys")
        return wanted

    @field_validator("caller_certificates")
    @classmethod
    def _known_groups(cls, text: str) -> str:
        parse_certificates(text)
        return text

    @model_validator(mode="after")
    def _certificates_are_demanded(self) -> Self:
        if self.callers_by_certificate and not self.tls_client_auth:
            raise ValueError("caller_certificates needs tls_client_auth: without it callers show no certificate")
        return self

    @property
    def callers_by_certificate(self) -> Certificates:
        """What callers are let in for that show a client certificate."""
        return parse_certificates(self.caller_certificates)

    @property
    def knows_development_keys(self) -> bool:
        """Whether the development keys are to be known."""
        return self.mode == "development" and self.development_keys is not False

    @property
    def trusted_networks(self) -> tuple[Network, ...]:
        """The networks of `http_trusted_peers`."""
        return parse_networks(self.http_trusted_peers)

    @property
    def redis_address(self) -> RedisAddress | None:
        """Where the key store is, password included, if it is a Redis."""
        url = self.store_url.get_secret_value() if self.store_url else ""
        return parse_redis_address(url) if _is_redis_url(url) else None

    @property
    def store_path(self) -> Path:
        """The file of the key store, if it is a file."""
        if self.store_url is None:
            return self.data_dir / STORE_FILE
        return Path(self.store_url.get_secret_value().removeprefix(_SQLITE))

    @property
    def pepper_path(self) -> Path:
        """The pepper file."""
        return self.data_dir / PEPPER_FILE
