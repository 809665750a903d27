"""Errors that a client is told, and what follows from each (`protocol.md`, "Errors").

EdgeError
└── FrameError      one frame was refused: becomes one `error` frame
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from ws_edge.core.close_codes import CloseCode


class ErrorType(StrEnum):
    """`error_type` of an `error` frame."""

    INVALID_KEY = "invalid_key"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a name, not a secret
    KEY_REVOKED = "key_revoked"
    KEY_DISABLED = "key_disabled"
    AUTH_TIMEOUT = "auth_timeout"
    PERMISSION_DENIED = "permission_denied"
    INVALID_FORMAT = "invalid_format"
    UNKNOWN_TYPE = "unknown_type"
    NOT_AUTHENTICATED = "not_authenticated"
    ALREADY_AUTHENTICATED = "already_authenticated"
    CHANNEL_ERROR = "channel_error"
    MESSAGE_ERROR = "message_error"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    SERVER_ERROR = "server_error"


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """What an error type means: its default code, its default words, and the close that follows, if any."""

    code: int
    message: str
    close: CloseCode | None = None


RULES: Final[Mapping[ErrorType, ErrorRule]] = MappingProxyType(
    {
        ErrorType.INVALID_KEY: ErrorRule(403, "Invalid API key", CloseCode.AUTHENTICATION),
        ErrorType.TOKEN_EXPIRED: ErrorRule(403, "Token expired", CloseCode.AUTHENTICATION),
        ErrorType.KEY_REVOKED: ErrorRule(403, "API key revoked", CloseCode.AUTHENTICATION),
        ErrorType.KEY_DISABLED: ErrorRule(403, "API key disabled", CloseCode.AUTHENTICATION),
        ErrorType.AUTH_TIMEOUT: ErrorRule(408, "Authentication timeout", CloseCode.AUTHENTICATION),
        ErrorType.PERMISSION_DENIED: ErrorRule(403, "Missing permission"),
        ErrorType.INVALID_FORMAT: ErrorRule(400, "Invalid frame"),
        ErrorType.UNKNOWN_TYPE: ErrorRule(400, "Unknown frame type"),
        ErrorType.NOT_AUTHENTICATED: ErrorRule(401, "Not authenticated", CloseCode.PROTOCOL_VIOLATION),
        ErrorType.ALREADY_AUTHENTICATED: ErrorRule(409, "Already authenticated", CloseCode.PROTOCOL_VIOLATION),
        ErrorType.CHANNEL_ERROR: ErrorRule(400, "Bad channel"),
        ErrorType.MESSAGE_ERROR: ErrorRule(400, "Bad message"),
        ErrorType.RATE_LIMITED: ErrorRule(429, "Rate limit exceeded"),
        ErrorType.TIMEOUT: ErrorRule(504, "The service did not answer in time"),
        ErrorType.UNAVAILABLE: ErrorRule(503, "The service is away"),
        ErrorType.SERVER_ERROR: ErrorRule(500, "Internal server error", CloseCode.SERVER_ERROR),
    }
)


class EdgeError(Exception):
    """Root of the edge's exceptions."""


class ContractBroken(EdgeError):
    """A service gave something that is no answer to what it was asked: a defect on one of the two sides."""


class FrameError(EdgeError):
    """One frame was refused.

    Args:
        error_type: Which row of the table.
        message: For people; None takes the table's words.
        code: None takes the table's code.
        close: Overrides the table's close code (`invalid_format` closes only for the envelope).
        retry_after_ms: When repeating may succeed, in milliseconds.
        details: More for programs, JSON-able.
        channel: The channel it is about.
    """

    def __init__(
        self,
        error_type: ErrorType,
        message: str | None = None,
        *,
        code: int | None = None,
        close: CloseCode | None = None,
        retry_after_ms: int | None = None,
        details: Mapping[str, object] | None = None,
        channel: str | None = None,
    ) -> None:
        rule = RULES[error_type]
        self.error_type = error_type
        self.message = message if message is not None else rule.message
        self.code = code if code is not None else rule.code
        self.close = close if close is not None else rule.close
        self.retry_after_ms = retry_after_ms
        self.details = details
        self.channel = channel
        super().__init__(self.message)


def defect_error(cause: Exception) -> FrameError:
    """Return what a client is told of a defect, with its cause for the log."""
    problem = FrameError(ErrorType.SERVER_ERROR)
    problem.__cause__ = cause
    return problem
