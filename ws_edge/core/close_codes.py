"""Close codes of the edge, and for each one if a client should come back by itself (`protocol.md`, "Life of a connection")."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final


class CloseCode(IntEnum):
    """Why a connection ends, as the code of the WebSocket close frame (RFC 6455 section 7.4)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    MESSAGE_TOO_BIG = 1009
    SERVER_ERROR = 1011
    TRY_AGAIN_LATER = 1013
    AUTHENTICATION = 4000
    RATE_LIMIT = 4001
    INVALID_FORMAT = 4002
    PROTOCOL_VIOLATION = 4003


RECONNECT: Final[Mapping[CloseCode, bool]] = MappingProxyType(
    {
        CloseCode.NORMAL: False,
        CloseCode.GOING_AWAY: True,
        CloseCode.MESSAGE_TOO_BIG: False,
        CloseCode.SERVER_ERROR: True,
        CloseCode.TRY_AGAIN_LATER: True,
        CloseCode.AUTHENTICATION: False,
        CloseCode.RATE_LIMIT: True,
        CloseCode.INVALID_FORMAT: False,
        CloseCode.PROTOCOL_VIOLATION: False,
    }
)
