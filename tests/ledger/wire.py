"""The frames that the ledger's clients send and understand: docs/protocol.md, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.ledger.places import Place

Frame = dict[str, Any]
MESSAGE: Final = "chat_message"
# What docs/protocol.md, "Errors", says may be sent again.
TRY_AGAIN: Final = frozenset({"unavailable", "timeout", "rate_limited"})


@dataclass(frozen=True)
class Account:
    """Who connects, and where to.

    Args:
        api_key: Never shown.
        domain: Of all channels.
        workspace: Of all channels.
    """

    api_key: str
    domain: str
    workspace: str

    def __repr__(self) -> str:
        return f"Account({self.domain}/{self.workspace})"


def encode(frame: Frame) -> str:
    return json.dumps(frame, separators=(",", ":"))


def connect_frame(frame_id: str, account: Account, resume: Mapping[str, Place]) -> Frame:
    data: dict[str, Any] = {
        "api_key": account.api_key,
        "connection_type": "chat",
        "domain": account.domain,
        "workspace": account.workspace,
    }
    if resume:
        data["resume"] = [{"channel": channel, **place._asdict()} for channel, place in resume.items()]
    return {"type": "connect", "id": frame_id, "data": data}


def join_frame(frame_id: str, channel: str, recover: Place | None) -> Frame:
    data: dict[str, Any] = {"channel": channel}
    if recover is not None:
        data["recover"] = recover._asdict()
    return {"type": "join_channel", "id": frame_id, "data": data}


def message_frame(message_id: str, channel: str) -> Frame:
    return {"type": MESSAGE, "id": message_id, "channel": channel, "data": {"content": message_id}}


def ack_frame(channel: str, place: Place) -> Frame:
    return {"type": "ack", "data": {"channel": channel, **place._asdict()}}


def history_frame(frame_id: str, channel: str, since: Place | None, limit: int) -> Frame:
    after = {"offset": 0} if since is None else since._asdict()
    return {"type": "history", "id": frame_id, "data": {"channel": channel, "since": after, "limit": limit}}


def place_in(fields: Mapping[str, Any]) -> Place:
    """Return the place that a frame, or its data, names."""
    return Place(str(fields["epoch"]), int(fields["offset"]))
