"""Logs: structlog in front, the standard library's loggers led into the same lines, keys redacted in all of them."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import structlog

from service_runtime.settings import ServiceSettings

REDACTED: Final = "[redacted]"

# tw_<environment>_<key id>_<secret><checksum>: the id may stay, what follows it may not. Whatever stands before `tw_`
# does not matter: in the repr of a text it may be the `n` of a line's end.
_KEY: Final = re.compile(r"tw_([A-Za-z0-9]+)_([A-Za-z0-9]+)_[A-Za-z0-9_]+")
# Credentials as they stand in headers, and in the repr of headers and metadata. What follows up to a space goes with them.
_BEARER: Final = re.compile(r"(?i)\b(bearer)\s+\S+")
_API_KEY: Final = re.compile(r"(?i)\b(x-api-key)(['\"]?\s*[:=,]\s*b?['\"]?|\s+)\S+")
_SECRET_FIELDS: Final = frozenset(
    {"api_key", "authorization", "secret", "token", "service_token", "password", "pepper", "x_api_key"}
)


def redact(text: str) -> str:
    """Return `text` without the secret part of any key, and without any credential, in it."""
    text = _KEY.sub(rf"tw_\1_\2_{REDACTED}", text)
    return _API_KEY.sub(rf"\1\2{REDACTED}", _BEARER.sub(rf"\1 {REDACTED}", text))


def _is_secret(name: object) -> bool:
    return str(name).lower().replace("-", "_") in _SECRET_FIELDS


def _redact_value(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bytes):
        return redact(value.decode(errors="replace"))
    if isinstance(value, Mapping):
        return {
            redact(str(name)): REDACTED if _is_secret(name) else _redact_value(item) for name, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value(item) for item in value]
    return value if isinstance(value, int | float | bool | None) else redact(str(value))


def _redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        event[key] = REDACTED if _is_secret(key) else _redact_value(value)
    return event


def configure_logging(service: str, settings: ServiceSettings) -> None:
    """Send all log lines of this process to stderr, in the settings' form and from the settings' level on.

    Args:
        service: Named on every line.
        settings: Level and form.
    """
    level = getattr(logging, settings.log_level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(service),
        structlog.processors.format_exc_info,
        _redact_event,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared[:-2],
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.json_logs
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared[:-2],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redact_event,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


def _named(service: str) -> Any:
    def add(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return add


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
