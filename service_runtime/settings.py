"""Settings: fields with defaults and units, read from flags, the environment and defaults, validated once at the start.

A field `port` of the edge is the flag `--port` and the variable `TIDEWIRE_EDGE_PORT`. The fields that all services have
(`ServiceSettings`) may also be given once for all of them: `TIDEWIRE_MODE`. A flag beats the service's own variable,
which beats the shared one. A secret may lie in a file, too, which the same variable with `_FILE` behind its name names.
"""

from __future__ import annotations

import argparse
import os
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

SHARED_PREFIX: Final = "TIDEWIRE_"
DEVELOPMENT_SERVICE_TOKEN: Final = "development-service-token"  # noqa: S105 - refused in production mode
MIN_SERVICE_TOKEN_LENGTH: Final = 32


class SettingsError(Exception):
    """A setting has a value that is not allowed; the text names the variable, what was given and what is allowed."""


def settings_config(service: str) -> SettingsConfigDict:
    """Return the configuration of a settings class whose variables begin with `TIDEWIRE_<service>_`."""
    prefix = f"{SHARED_PREFIX}{service}_"
    return SettingsConfigDict(env_prefix=prefix, extra="ignore", frozen=True, allow_inf_nan=False)


class ServiceSettings(BaseSettings):
    """What an operator can set for every service."""

    model_config = settings_config("")

    mode: Literal["development", "production"] = Field(
        "development", description="development: convenient defaults; production: safe ones"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe log line shown")
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="Form of log lines; auto: console in development, json in production"
    )
    service_token: SecretStr = Field(
        SecretStr(DEVELOPMENT_SERVICE_TOKEN),
        description="Credential that the services show each other; production needs one of at least 32 characters",
    )
    ready_file: Path | None = Field(None, description="Written with pid and port when the service listens")
    metrics_host: str = Field("127.0.0.1", description="Address to listen on for metrics; 0.0.0.0 for all")
    metrics_port: int = Field(
        -1,
        ge=-1,
        le=65535,
        description="Port for /metrics (Prometheus), /ready and /health over plain HTTP; -1: none, 0: any free one",
    )
    admin_host: str = Field("127.0.0.1", description="Address to listen on for /debug; 0.0.0.0 for all")
    admin_port: int = Field(
        -1,
        ge=-1,
        le=65535,
        description="Port for /debug (connections, channels, tasks, CPU profile), behind an API key with admin:debug, over TLS"
        " if tls_cert_file is set; -1: none, 0: any free one",
    )
    trace_ratio: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Part of clients' frames and of calls that is traced, if they belong to no trace yet; 0: nothing is traced,"
        " whoever asks for it. Needs the extra otel",
    )
    trace_max_per_second: int = Field(
        100,
        ge=1,
        description="Frames and calls that are begun to be traced at most, those included that clients ask to be traced",
        json_schema_extra={"unit": "per second"},
    )
    trace_endpoint: str = Field(
        "http://127.0.0.1:4317",
        pattern=r"^https?://[^/]+/?$",
        description="Collector of traces, OTLP over gRPC; https:// for TLS",
    )
    shutdown_grace_s: float = Field(
        3.0, ge=0, description="Time to finish work at the end", json_schema_extra={"unit": "seconds"}
    )
    tls_cert_file: Path | None = Field(None, description="Certificate chain (PEM) that this process shows")
    tls_key_file: Path | None = Field(None, description="Private key (PEM) of that certificate")
    tls_ca_file: Path | None = Field(None, description="Certificates (PEM) that peers must be signed by")
    tls_client_auth: bool = Field(False, description="Demand a certificate of callers (mutual TLS)")

    @model_validator(mode="after")
    def _safe(self) -> Self:
        token = self.service_token.get_secret_value()
        if self.mode == "production" and (token == DEVELOPMENT_SERVICE_TOKEN or len(token) < MIN_SERVICE_TOKEN_LENGTH):
            raise ValueError(
                f"service_token must be set in production mode, to at least {MIN_SERVICE_TOKEN_LENGTH} characters"
            )
        if self.admin_port > 0 and self.admin_port in (self.metrics_port, getattr(self, "port", None)):
            raise ValueError("admin_port must be a port of its own")
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_cert_file and tls_key_file go together")
        if self.tls_client_auth and (self.tls_ca_file is None or self.tls_cert_file is None):
            raise ValueError("tls_client_auth needs tls_ca_file, tls_cert_file and tls_key_file")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read flags first, then the service's variables, then the shared ones; of each, values before files."""
        own = str(settings_cls.model_config["env_prefix"])
        return (
            init_settings,
            env_settings,
            _SecretFiles(settings_cls, own, settings_cls.model_fields),
            _SharedVariables(settings_cls),
            _SecretFiles(settings_cls, SHARED_PREFIX, ServiceSettings.model_fields),
        )

    def service_token_value(self) -> str:
        """Return the service token in the clear."""
        return self.service_token.get_secret_value()

    @property
    def json_logs(self) -> bool:
        """Whether log lines are JSON."""
        return self.log_format == "json" or (self.log_format == "auto" and self.mode == "production")


class _SharedVariables(PydanticBaseSettingsSource):
    """`TIDEWIRE_<FIELD>` for the fields that all services have."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return os.environ.get(f"{SHARED_PREFIX}{field_name.upper()}"), field_name, False

    def __call__(self) -> dict[str, Any]:
        fields = ServiceSettings.model_fields.items()
        values = {name: self.get_field_value(field, name)[0] for name, field in fields}
        return {name: value for name, value in values.items() if value is not None}


class _SecretFiles(PydanticBaseSettingsSource):
    """`<prefix><FIELD>_FILE` for the fields that hold secrets."""

    def __init__(self, settings_cls: type[BaseSettings], prefix: str, fields: Mapping[str, FieldInfo]) -> None:
        super().__init__(settings_cls)
        self._prefix = prefix
        self._fields = fields

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        name = f"{self._prefix}{field_name.upper()}_FILE"
        file = os.environ.get(name)
        if file is None or not _is_secret(field.annotation):
            return None, field_name, False
        try:
            return Path(file).read_text().strip(), field_name, False
        except (OSError, UnicodeDecodeError) as problem:
            reason = getattr(problem, "strerror", None) or "it is no text"
            raise SettingsError(f"{name}: {file} cannot be read: {reason}") from None

    def __call__(self) -> dict[str, Any]:
        values = {name: self.get_field_value(field, name)[0] for name, field in self._fields.items()}
        return {name: value for name, value in values.items() if value is not None}


S = TypeVar("S", bound=ServiceSettings)


def load_settings(cls: type[S], argv: Sequence[str], *, prog: str, description: str) -> S:
    """Read the settings of a service; a wrong one ends the process with code 2 and a line on stderr for each.

    Args:
        cls: The settings class.
        argv: Flags, without the program's name.
        prog: The program's name, for `--help`.
        description: What it is, for `--help`.
    """
    parser = _parser(cls, prog, description)
    given = {name: value for name, value in vars(parser.parse_args(argv)).items() if value is not None}
    try:
        return make_settings(cls, given)
    except SettingsError as exc:
        sys.stderr.write(f"{exc}\n")
        raise SystemExit(2) from None


def make_settings(cls: type[S], given: Mapping[str, Any]) -> S:
    """Build settings from given values, the environment and defaults.

    Raises:
        SettingsError: A value is not allowed.
    """
    try:
        return cls(**given)
    except ValidationError as exc:
        raise SettingsError("\n".join(_explain(cls, error) for error in exc.errors())) from None


def variable(cls: type[ServiceSettings], field_name: str) -> str:
    """Return the environment variable of a field."""
    return f"{cls.model_config['env_prefix']}{field_name.upper()}"


def unit(field: FieldInfo) -> str:
    """Return the unit of a field; empty if it has none."""
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def shown_default(field: FieldInfo) -> str:
    """Return a field's default for people."""
    if field.is_required() or field.default is PydanticUndefined:
        return "required"
    if field.default is None:
        return "not set"
    if isinstance(field.default, SecretStr):
        return "secret"
    return str(field.default)


def _parser(cls: type[ServiceSettings], prog: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for name, field in cls.model_fields.items():
        measured = " ".join(filter(None, (shown_default(field), unit(field))))
        text = f"{field.description or name} [{variable(cls, name)}; default: {measured}]"
        flag = f"--{name.replace('_', '-')}"
        if _is_secret(field.annotation):
            continue  # a secret on a command line can be read by every process of the machine
        if _is_bool(field.annotation):
            parser.add_argument(
                flag, dest=name, action=argparse.BooleanOptionalAction, help=_escape(text), default=None
            )
        else:
            parser.add_argument(flag, dest=name, metavar=_metavar(field), help=_escape(text), default=None)
    secrets = [variable(cls, n) for n, f in cls.model_fields.items() if _is_secret(f.annotation)]
    parser.epilog = (
        f"secrets are read from the environment only: {', '.join(secrets)}; with _FILE behind it, each of these names a file"
        " that the secret is read from"
    )
    return parser


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def _is_bool(annotation: object) -> bool:
    return annotation is bool or (_is_union(annotation) and bool in get_args(annotation))


def _is_secret(annotation: object) -> bool:
    return annotation is SecretStr or (_is_union(annotation) and SecretStr in get_args(annotation))


def _is_union(annotation: object) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _metavar(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return "|".join(map(str, get_args(field.annotation)))
    return (unit(field) or "value").replace(" ", "_").upper()


def _explain(cls: type[ServiceSettings], error: ErrorDetails) -> str:
    what = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if not error["loc"]:
        named = min((name for name in cls.model_fields if name in what), key=what.index, default=None)
        return f"{variable(cls, named)}: {what}" if named else what
    name = str(error["loc"][0])
    if error["type"] == "missing":
        return f"{variable(cls, name)}: must be given"  # its input is everything else, secrets included
    if _is_secret(cls.model_fields[name].annotation):
        return f"{variable(cls, name)}: the value given is not allowed: {what}"
    return f"{variable(cls, name)}: {error['input']!s} is not allowed: must be {what}"
