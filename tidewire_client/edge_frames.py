"""Frames of the wire protocol as this client writes and reads them; pure.

The source is `docs/protocol.md`: "The envelope", "Close codes", "Errors". A message's data is placed into a frame as the
bytes that the caller gave.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tidewire_client.errors import (
    CallerNotAllowed,
    ConnectionLost,
    ConnectionRefused,
    FailedPrecondition,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    ServerFault,
    ServiceTimeout,
    ServiceUnavailable,
    TidewireError,
)
from tidewire_client.message import Position

MESSAGE_TYPES: Final = frozenset({"chat_message", "channel_message", "task_update", "agent_status", "graph_update"})

# Nobody is made to wait longer, whatever the frame says.
MAX_WAIT_MS: Final = 86_400_000

# Close codes after which a client may come back, for when no `disconnect` frame said so.
COMES_BACK: Final = frozenset({1001, 1011, 1012, 1013, 1014, 4001})

_ERRORS: Final[Mapping[str, type[TidewireError]]] = {
    "permission_denied": CallerNotAllowed,
    "invalid_format": InvalidRequest,
    "unknown_type": InvalidRequest,
    "channel_error": InvalidRequest,
    "message_error": InvalidRequest,
    "rate_limited": LimitExceeded,
    "timeout": ServiceTimeout,
    "unavailable": ServiceUnavailable,
}
_ERRORS_BY_CODE: Final[Mapping[int, type[TidewireError]]] = {
    404: NotFound,
    409: FailedPrecondition,
    413: LimitExceeded,
}
# A frame that was answered with one of these may be sent again on the same connection.
_PASSING: Final = frozenset({"rate_limited", "timeout", "unavailable"})
# After one of these the edge ends the connection.
_ENDING: Final = frozenset(
    {
        "invalid_key",
        "token_expired",
        "key_revoked",
        "key_disabled",
        "auth_timeout",
        "not_authenticated",
        "already_authenticated",
        "server_error",
    }
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of the server.

    Attributes:
        type: Its `type`.
        data: Its `data`, decoded.
        id: The id of the message, or of the frame that it answers; empty: none.
        channel: What it is about; empty: none.
        client_id: The sender of a message, the addressee of an answer.
        timestamp: RFC 3339, UTC, milliseconds.
        position: Where a message stands; None for other frames.
        text: The JSON text as it came.
    """

    type: str
    data: Mapping[str, Any]
    id: str
    channel: str
    client_id: str
    timestamp: str
    position: Position | None
    text: str = field(repr=False)

    @property
    def is_message(self) -> bool:
        """It is a message of a channel."""
        return self.type in MESSAGE_TYPES and self.position is not None


def parse_frame(text: str) -> Frame:
    """Return a frame of the server.

    Raises:
        ServerFault: It is none: whoever answers there does not speak this protocol.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or not isinstance(fields.get("type"), str):
        raise ServerFault("the edge sent something that is no frame")
    data = fields.get("data")
    return Frame(
        fields["type"],
        data if isinstance(data, dict) else {},
        _text(fields, "id"),
        _text(fields, "channel"),
        _text(fields, "client_id"),
        _text(fields, "timestamp"),
        position_in(fields),
        text,
    )


def position_in(fields: Mapping[str, Any]) -> Position | None:
    """Return the position that `epoch` and `offset` name; None if they do not."""
    epoch, offset = fields.get("epoch"), fields.get("offset")
    if isinstance(epoch, str) and isinstance(offset, int) and not isinstance(offset, bool) and offset >= 0:
        return Position(epoch, offset)
    return None


def encode_frame(frame_type: str, data: Mapping[str, Any], frame_id: str | None = None) -> str:
    """Return a frame that is not about a channel's message, as JSON text."""
    fields: dict[str, Any] = {"type": frame_type, "data": data}
    if frame_id is not None:
        fields["id"] = frame_id
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def encode_message(frame_type: str, message_id: str, channel: str, data: bytes) -> str:
    """Return a message frame as JSON text, `data` in it as the bytes that were given."""
    envelope = json.dumps({"type": frame_type, "id": message_id, "channel": channel}, ensure_ascii=False)
    return f'{envelope[:-1]}, "data": {data.decode()}}}'


def error_of(frame: Frame) -> TidewireError:
    """Return the exception for an `error` frame that does not end the connection."""
    error_type, code = _text(frame.data, "error_type"), frame.data.get("code")
    kind = _ERRORS_BY_CODE.get(code, TidewireError) if isinstance(code, int) else TidewireError
    if kind is TidewireError or error_type in _PASSING or error_type == "permission_denied":
        kind = _ERRORS.get(error_type, ServerFault)
    details = frame.data.get("details")
    safe = details.get("safe_to_repeat", True) if isinstance(details, dict) else True
    return kind(_text(frame.data, "message") or error_type, reason=error_type, safe_to_repeat=bool(safe))


def passes(frame: Frame) -> bool:
    """Say if an `error` frame is about something that passes: the frame may be sent again on the same connection."""
    return _text(frame.data, "error_type") in _PASSING


def ends(frame: Frame) -> bool:
    """Say if an `error` frame is followed by the end of the connection."""
    return _text(frame.data, "error_type") in _ENDING


def retry_after_s(frame: Frame) -> float | None:
    """Return when an `error` or `disconnect` frame wants to see the client again, in seconds; None if it does not say."""
    wait_ms = frame.data.get("retry_after_ms")
    if isinstance(wait_ms, bool) or not isinstance(wait_ms, int | float):
        return None
    return min(max(0, wait_ms), MAX_WAIT_MS) / 1000


def goodbye(frame: Frame, error: Frame | None) -> TidewireError:
    """Return what a `disconnect` frame means: `ConnectionLost` if one may come back, else `ConnectionRefused`.

    Args:
        frame: The `disconnect` frame.
        error: The `error` frame before it, if there was one.
    """
    reason = _text(frame.data, "reason") or "the edge ended the connection"
    if frame.data.get("reconnect") is True:
        return ConnectionLost(reason, retry_after_s=retry_after_s(frame))
    code = frame.data.get("code")
    error_type = _text(error.data, "error_type") if error is not None else ""
    return ConnectionRefused(reason, code=code if isinstance(code, int) else 0, error_type=error_type)


def closed(code: int) -> TidewireError:
    """Return what a close code means that no `disconnect` frame came before."""
    if code in COMES_BACK:
        return ConnectionLost("the connection to the edge broke off")
    return ConnectionRefused(f"the edge closed the connection with {code}", code=code)


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
