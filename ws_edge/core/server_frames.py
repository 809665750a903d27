"""Encoding of what the edge sends: JSON text of each frame, ready for `websocket_frame.text_frame`.

Every frame is encoded once, however many clients it goes to. A message's `data` is never decoded here: its bytes are
placed into the frame as they are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from ws_edge.core.close_codes import RECONNECT, CloseCode
from ws_edge.core.errors import FrameError
from ws_edge.core.ports import Member, Position, StoredMessage

_encoder: Final = msgspec.json.Encoder()
_encode: Final = _encoder.encode


class ServerFrame(Struct, omit_defaults=True):
    """The envelope of everything that the edge sends."""

    type: str
    data: Raw | Mapping[str, object] | Struct
    id: str | None = None
    channel: str | None = None
    epoch: str | None = None
    offset: int | UnsetType = UNSET
    timestamp: str | None = None
    client_id: str | None = None


class DeliveredData(Struct):
    """`data` of `message_delivered`."""

    message: str
    original_type: str
    status: str = "success"
    id: str | UnsetType | None = UNSET
    channel: str | UnsetType | None = UNSET
    epoch: str | UnsetType = UNSET
    offset: int | UnsetType = UNSET


@lru_cache(4)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


@lru_cache(4)
def timestamp(time_ms: int) -> str:
    """Return RFC 3339 in UTC with milliseconds; what is sent together mostly has the same."""
    second, ms = divmod(time_ms, 1000)
    return f"{_second(second)}.{ms:03d}Z"


def frame(
    frame_type: str,
    data: Mapping[str, object],
    time_ms: int,
    *,
    frame_id: str | None = None,
    channel: str | None = None,
    client_id: str | None = None,
    position: Position | None = None,
) -> bytes:
    """Return any frame of the server as JSON text.

    Args:
        frame_type: `type`.
        data: `data`.
        time_ms: The present, milliseconds since the Unix epoch.
        frame_id: The `id` of the frame that is answered.
        channel: The channel that the frame is about.
        client_id: The addressee, on answers.
        position: Where in the channel.
    """
    out = ServerFrame(frame_type, data, frame_id, channel, timestamp=timestamp(time_ms), client_id=client_id)
    if position is not None:
        out.epoch, out.offset = position.epoch, position.offset
    return _encode(out)


def message(stored: StoredMessage, channel: str) -> bytes:
    """Return a channel message as every member sees it."""
    return _encode(_message_frame(stored, channel))


def _message_frame(stored: StoredMessage, channel: str) -> ServerFrame:
    return ServerFrame(
        stored.type,
        Raw(stored.data),
        stored.id,
        channel,
        stored.epoch,
        stored.offset,
        timestamp(stored.time_ms),
        stored.client_id,
    )


def echo(
    frame_type: str, data: Raw, time_ms: int, *, frame_id: str | None, channel: str | None, client_id: str
) -> bytes:
    """Return a frame of the debug endpoint as it goes back to its sender."""
    return _encode(ServerFrame(frame_type, data, frame_id, channel, None, UNSET, timestamp(time_ms), client_id))


def pong(data: Raw, time_ms: int, *, frame_id: str | None, client_id: str) -> bytes:
    """Return the answer to `ping`: the same data."""
    return echo("pong", data, time_ms, frame_id=frame_id, channel=None, client_id=client_id)


def error(problem: FrameError, time_ms: int, *, frame_id: str | None, client_id: str) -> bytes:
    """Return the `error` frame that answers a refused frame."""
    data: dict[str, object] = {
        "message": problem.message,
        "error_type": problem.error_type.value,
        "code": problem.code,
    }
    if problem.retry_after_ms is not None:
        data["retry_after_ms"] = problem.retry_after_ms
    if problem.details is not None:
        data["details"] = problem.details
    return frame("error", data, time_ms, frame_id=frame_id, channel=problem.channel, client_id=client_id)


def disconnect(
    reason: str, code: CloseCode, time_ms: int, *, retry_after_ms: int, frame_id: str | None, client_id: str
) -> bytes:
    """Return the last frame before the close frame; `retry_after_ms` is already jittered."""
    reconnect = RECONNECT[code]
    data: dict[str, object] = {"reason": reason, "code": int(code), "reconnect": reconnect}
    if reconnect:
        data["retry_after_ms"] = retry_after_ms
    return frame("disconnect", data, time_ms, frame_id=frame_id, client_id=client_id)


def delivered(
    original_type: str,
    time_ms: int,
    *,
    frame_id: str | None,
    client_id: str,
    words: str = "Message received and processed",
    channel: str | None = None,
    position: Position | None = None,
) -> bytes:
    """Return `message_delivered`; for a stored message it says where it stands, in the envelope and in `data`."""
    stamp = timestamp(time_ms)
    if position is None:
        data = DeliveredData(words, original_type)
        return _encode(ServerFrame("message_delivered", data, frame_id, channel, None, UNSET, stamp, client_id))
    epoch, offset = position
    data = DeliveredData(words, original_type, "success", frame_id, channel, epoch, offset)
    return _encode(ServerFrame("message_delivered", data, frame_id, channel, epoch, offset, stamp, client_id))


def history(
    messages: Sequence[StoredMessage],
    newest: Position,
    more: bool,
    failure: str | None,
    time_ms: int,
    *,
    frame_id: str | None,
    channel: str,
    client_id: str,
) -> bytes:
    """Return the `history` frame: messages as they were delivered, oldest first."""
    data: dict[str, object] = {
        "channel": channel,
        "messages": [_message_frame(m, channel) for m in messages],
        "epoch": newest.epoch,
        "offset": newest.offset,
        "more": more,
    }
    if failure is not None:
        data |= {"recovered": False, "reason": failure}
    return frame("history", data, time_ms, frame_id=frame_id, channel=channel, client_id=client_id)


def member(who: Member) -> dict[str, object]:
    """Return a member as `presence` and `presence_update` show it."""
    return {
        "client_id": who.client_id,
        "connection_type": who.connection_type,
        "joined_at": timestamp(who.join_time_ms),
    }
