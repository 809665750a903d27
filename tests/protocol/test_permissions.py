"""protocol.md, the row `permission_denied`: what a key does not allow is named, and the connection stays open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.key_admin import MadeKey
from tests.support.protocol_client import Clients

pytestmark = pytest.mark.integration

MakeKey = Callable[..., MadeKey]

# The frame, and the permission that it needs beside `join:open-*` and `publish:open-1`.
DENIED: dict[str, tuple[str, dict[str, Any], dict[str, str], str]] = {
    "join": ("join_channel", {"channel": "secret"}, {}, "join:secret"),
    "publish": ("chat_message", {"content": "x"}, {"channel": "open-2"}, "publish:open-2"),
    "history": ("history", {"channel": "open-1"}, {}, "history:open-1"),
    "receipt": ("receipt", {"channel": "open-1", "offset": 1}, {}, "history:open-1"),
    "presence": ("presence", {"channel": "open-1"}, {}, "presence:open-1"),
    "broadcast": ("broadcast", {}, {}, "broadcast"),
    "direct": ("direct_message", {"to": "bob"}, {}, "direct:bob"),
}


@pytest.mark.parametrize(("frame_type", "data", "envelope", "permission"), DENIED.values(), ids=list(DENIED))
async def test_what_the_key_does_not_allow(
    clients: Clients,
    make_key: MakeKey,
    frame_type: str,
    data: dict[str, Any],
    envelope: dict[str, str],
    permission: str,
) -> None:
    key = make_key(["join:open-*", "publish:open-1"])
    client = await clients.connected(api_key=key.api_key)
    await client.join("open-1")
    await client.join("open-2")
    frame_id = await client.send(frame_type, data, **envelope)
    error = await client.expect_refusal("permission_denied", 403, frame_id=frame_id)
    assert permission in error["data"]["message"]
    await client.publish("open-1", "still allowed")


ALLOWED: dict[str, tuple[list[str], str, dict[str, Any], dict[str, str], str]] = {
    "publish": (["join:*", "publish:a*"], "chat_message", {"content": 1}, {"channel": "alpha"}, "message_delivered"),
    "history": (["join:*", "history:alpha"], "history", {"channel": "alpha"}, {}, "history"),
    "receipt": (["join:*", "history:*"], "receipt", {"channel": "alpha", "offset": 1}, {}, "receipt"),
    "presence": (["join:*", "presence:*"], "presence", {"channel": "alpha"}, {}, "presence"),
    "broadcast": (["join:*", "broadcast:*"], "broadcast", {}, {}, "message_delivered"),
    "direct": (["join:*", "direct:bob"], "direct_message", {"to": "bob"}, {}, "message_delivered"),
    "everything": (["*:*"], "broadcast", {}, {}, "message_delivered"),
}


@pytest.mark.parametrize(
    ("permissions", "frame_type", "data", "envelope", "answer"), ALLOWED.values(), ids=list(ALLOWED)
)
async def test_what_the_key_allows(
    clients: Clients,
    make_key: MakeKey,
    permissions: list[str],
    frame_type: str,
    data: dict[str, Any],
    envelope: dict[str, str],
    answer: str,
) -> None:
    writer = await clients.member("alpha")
    await writer.publish("alpha", 0)
    client = await clients.connected(api_key=make_key(permissions).api_key)
    await client.join("alpha")
    frame_id = await client.send(frame_type, data, **envelope)
    await client.take(answer, frame_id=frame_id)


async def test_ones_own_inbox_and_broadcasts_need_no_permission(clients: Clients, make_key: MakeKey) -> None:
    client = await clients.connected("bob", api_key=make_key(["join:nothing"]).api_key)
    alice = await clients.connected("alice")
    for frame_type, data in [("direct_message", {"to": "bob"}), ("broadcast", {})]:
        frame_id = await alice.send(frame_type, data)
        await alice.confirmation(frame_id, frame_type)
        await client.expect(frame_type)
