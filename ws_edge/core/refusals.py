"""Why a frame is refused, as the `FrameError` that the client is told: bad names, missing permissions, services that fail."""

from __future__ import annotations

from typing import Final

from ws_edge.core.errors import ContractBroken, ErrorType, FrameError, defect_error
from ws_edge.core.names import is_channel
from ws_edge.core.ports import Answer, Failed, FailureKind, KeyVerdict, ServiceAway

FAILURE_TYPES: Final = {
    FailureKind.TIMEOUT: ErrorType.TIMEOUT,
    FailureKind.UNAVAILABLE: ErrorType.UNAVAILABLE,
    FailureKind.LIMIT: ErrorType.UNAVAILABLE,
    FailureKind.CHANNEL_LIMIT: ErrorType.CHANNEL_ERROR,
    FailureKind.INVALID: ErrorType.MESSAGE_ERROR,
    FailureKind.INTERNAL: ErrorType.UNAVAILABLE,
}


def require_channel(channel: str) -> None:
    """Raise `channel_error` unless `channel` is a name that clients may join."""
    if not is_channel(channel):
        raise channel_error(400, "Bad channel name: 1 to 128 of A-Z a-z 0-9 _ - . : / @ #, not beginning with @", None)


def channel_error(code: int, message: str, channel: str | None) -> FrameError:
    """Return a `channel_error`."""
    return FrameError(ErrorType.CHANNEL_ERROR, message, code=code, channel=channel)


def require_allowed(verdict: KeyVerdict, action: str, resource: str) -> None:
    """Raise `permission_denied`, naming the permission, unless the verdict allows."""
    if not verdict.allowed:
        missing = f"{action}:{resource}"
        raise FrameError(ErrorType.PERMISSION_DENIED, f"Missing permission: {missing}", details={"permission": missing})


def failure_error(answer: Answer, *, repeat_is_safe: bool, channel: str | None = None) -> FrameError:
    """Return the error for a command that the session service did not do.

    Args:
        answer: What came instead of the expected answer.
        repeat_is_safe: The client can repeat the frame without doing anything twice, even if it was done.
        channel: What it is about.
    """
    if not isinstance(answer, Failed):
        return defect_error(ContractBroken(f"unexpected answer: {type(answer).__name__}"))
    safe = repeat_is_safe or answer.safe_to_repeat
    details = {"safe_to_repeat": safe}
    if answer.kind is FailureKind.CHANNEL_LIMIT:
        words = answer.message.capitalize()
        return FrameError(ErrorType.CHANNEL_ERROR, words, code=409, details=details, channel=channel)
    words = "safe to repeat" if safe else "repeating may store it twice"
    return FrameError(
        FAILURE_TYPES[answer.kind],
        f"{answer.message} ({words})",
        details=details,
        retry_after_ms=None if answer.kind is FailureKind.INVALID else 1000,
        channel=channel,
    )


def away_error(exc: ServiceAway, *, safe_to_repeat: bool) -> FrameError:
    """Return the error for a service that gave no answer."""
    kind = ErrorType.TIMEOUT if exc.timed_out else ErrorType.UNAVAILABLE
    return FrameError(kind, str(exc).capitalize(), details={"safe_to_repeat": safe_to_repeat}, retry_after_ms=1000)
