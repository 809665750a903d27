"""The frames that a client of the load writes and reads: `docs/protocol.md`, "Frames of a client", "Frames of the server"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from tidewire_client.edge_connection import EdgeLogin

Position = tuple[str, int]
CONNECT = "connect"


class ServerFrame(Struct):
    """The envelope of what the server sends; `data` stays as it is until somebody wants it."""

    type: str
    data: Raw = Raw(b"{}")
    id: str | None = None
    channel: str | None = None
    epoch: str | None = None
    offset: int | None = None


class Subscription(Struct):
    """`data` of `subscription_success` and `unsubscription_success`."""

    channel: str
    epoch: str = ""
    offset: int = 0
    recovered: bool = True
    reason: str = ""


class Problem(Struct):
    """`data` of `error`."""

    message: str = ""
    error_type: str = ""
    retry_after_ms: float | None = None


class Goodbye(Struct):
    """`data` of `disconnect`."""

    reason: str = ""
    reconnect: bool = False
    retry_after_ms: float | None = None


class _Member(Struct):
    client_id: str


class PresenceChange(Struct):
    """`data` of `presence_update`."""

    event: str
    member: _Member


decode_frame = msgspec.json.Decoder(ServerFrame).decode
decode_subscription = msgspec.json.Decoder(Subscription).decode
decode_problem = msgspec.json.Decoder(Problem).decode
decode_goodbye = msgspec.json.Decoder(Goodbye).decode
decode_presence = msgspec.json.Decoder(PresenceChange).decode
_encode = msgspec.json.Encoder().encode


def connect_frame(login: EdgeLogin, resume: Mapping[str, Position]) -> bytes:
    """Return `connect`, which resumes channels where it left them."""
    data = login.connect_data()
    if resume:
        data["resume"] = [{"channel": channel, "epoch": at[0], "offset": at[1]} for channel, at in resume.items()]
    return _encode({"type": "connect", "id": CONNECT, "data": data})


def join_frame(channel: str, *, presence: bool) -> bytes:
    """Return `join_channel`; its id is that of `join_id`."""
    data: dict[str, Any] = {"channel": channel}
    if presence:
        data["presence"] = True
    return _encode({"type": "join_channel", "id": step_id(channel), "data": data})


def leave_frame(channel: str) -> bytes:
    """Return `leave_channel`."""
    return _encode({"type": "leave_channel", "id": step_id(channel), "data": {"channel": channel}})


def step_id(channel: str) -> str:
    """Return the id of a frame that joins or leaves a channel, short enough for any channel."""
    return f"s-{channel[-60:]}"
