"""What protocol.md lists: which message of `tidewire.edge.v1` each frame is, both directions; errors; close codes."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import Message
from tidewire.edge.v1 import client_frames_pb2 as client
from tidewire.edge.v1 import errors_pb2 as errors
from tidewire.edge.v1 import server_frames_pb2 as server

CLIENT_FRAMES: Final[dict[str, type[Message]]] = {
    "connect": client.ConnectFrame,
    "join_channel": client.JoinChannelFrame,
    "leave_channel": client.LeaveChannelFrame,
    "chat_message": client.ChatMessageFrame,
    "channel_message": client.ChannelMessageFrame,
    "task_update": client.TaskUpdateFrame,
    "agent_status": client.AgentStatusFrame,
    "graph_update": client.GraphUpdateFrame,
    "direct_message": client.DirectMessageFrame,
    "broadcast": client.BroadcastFrame,
    "ack": client.AckFrame,
    "history": client.HistoryRequestFrame,
    "presence": client.PresenceRequestFrame,
    "receipt": client.ReceiptRequestFrame,
    "ping": client.PingFrame,
    "disconnect": client.DisconnectRequestFrame,
}

SERVER_FRAMES: Final[dict[str, type[Message]]] = {
    "connection_established": server.ConnectionEstablishedFrame,
    "connection_success": server.ConnectionSuccessFrame,
    "message_delivered": server.MessageDeliveredFrame,
    "subscription_success": server.SubscriptionSuccessFrame,
    "unsubscription_success": server.UnsubscriptionSuccessFrame,
    "chat_message": server.ChatMessageDeliveryFrame,
    "channel_message": server.ChannelMessageDeliveryFrame,
    "task_update": server.TaskUpdateDeliveryFrame,
    "agent_status": server.AgentStatusDeliveryFrame,
    "graph_update": server.GraphUpdateDeliveryFrame,
    "direct_message": server.DirectMessageDeliveryFrame,
    "broadcast": server.BroadcastDeliveryFrame,
    "history": server.HistoryFrame,
    "presence": server.PresenceFrame,
    "presence_update": server.PresenceUpdateFrame,
    "receipt": server.ReceiptFrame,
    "pong": server.PongFrame,
    "auth_status": server.AuthStatusFrame,
    "error": errors.ErrorFrame,
    "disconnect": errors.DisconnectFrame,
}

ECHO_FRAME: Final[type[Message]] = server.EchoFrame

# protocol.md, "Errors": the codes that an error type may carry, and the close code that follows, if any.
# `invalid_format` closes only for JSON and the envelope, `rate_limited` only who goes on.
ERRORS: Final[dict[str, tuple[frozenset[int], int | None]]] = {
    "invalid_key": (frozenset({403}), 4000),
    "token_expired": (frozenset({403}), 4000),
    "key_revoked": (frozenset({403}), 4000),
    "key_disabled": (frozenset({403}), 4000),
    "auth_timeout": (frozenset({408}), 4000),
    "permission_denied": (frozenset({403}), None),
    "invalid_format": (frozenset({400}), 4002),
    "unknown_type": (frozenset({400}), None),
    "not_authenticated": (frozenset({401}), 4003),
    "already_authenticated": (frozenset({409}), 4003),
    "channel_error": (frozenset({400, 404, 409}), None),
    "message_error": (frozenset({400, 413}), None),
    "rate_limited": (frozenset({429}), 4001),
    "timeout": (frozenset({504}), None),
    "unavailable": (frozenset({503}), None),
    "server_error": (frozenset({500}), 1011),
}

# protocol.md, "Life of a connection": each close code, and if a client may come back by itself.
CLOSE_CODES: Final[dict[int, bool]] = {
    1000: False,
    1001: True,
    1009: False,
    1011: True,
    1013: True,
    4000: False,
    4001: True,
    4002: False,
    4003: False,
}


MESSAGE_TYPES: Final = ("chat_message", "channel_message", "task_update", "agent_status", "graph_update")


def check_server_frame(frame: dict[str, Any], *, debug: bool) -> None:
    """Fail unless the frame is what its message in the contracts says: every field is known, and of the right type.

    Args:
        frame: As it came, decoded.
        debug: It came over the debug endpoint, which also echoes: then a frame of any other type, or a message without
            a position, is right too.
    """
    echoed = frame["type"] not in SERVER_FRAMES or (frame["type"] in MESSAGE_TYPES and "epoch" not in frame)
    assert debug or not echoed, f"not a frame of the server: {frame}"
    message = ECHO_FRAME if echoed else SERVER_FRAMES[frame["type"]]
    try:
        json_format.ParseDict(frame, message())
    except json_format.ParseError as problem:
        raise AssertionError(f"not a {message.DESCRIPTOR.full_name}: {problem}: {frame}") from problem
