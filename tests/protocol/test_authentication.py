"""protocol.md, "Life of a connection", points 1 to 4: from the upgrade to the goodbye."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.frame_catalogue import CLIENT_FRAMES
from tests.support.golden import golden_frames
from tests.support.key_admin import MadeKey
from tests.support.protocol_client import Clients, new_name

pytestmark = pytest.mark.integration

GOLDEN_CLIENT_FRAMES = {g.frame["type"]: g.frame for g in golden_frames() if g.direction == "client"}


async def test_seed_document_to_the_letter(clients: Clients) -> None:
    """The very frames of the seed document; its answers, with nothing in their `data` changed."""
    golden = {g.name: g.frame for g in golden_frames()}
    client = await clients.open(established=False)
    established = await client.receive()
    assert established["data"] == golden["seed_connection_established"]["data"]
    await client.send_frame(golden["seed_connect"])
    success = await client.receive()
    assert success["type"] == "connection_success"
    assert success["data"]["message"] == "Connected"
    delivered = await client.receive()
    assert delivered["type"] == "message_delivered"
    assert delivered["data"] == golden["seed_message_delivered_connect"]["data"]


async def test_connection_success_tells_who_the_client_is_and_its_limits(clients: Clients) -> None:
    client = await clients.open()
    data = (await client.authenticate(clients.workspace))["data"]
    assert data["client_id"] == client.client_id
    assert data["session_id"]
    assert data["heartbeat_ms"] > 0
    assert data["limits"]


async def test_each_connection_has_a_session_of_its_own(clients: Clients) -> None:
    one, two = await clients.open("same"), await clients.open("same")
    first, second = await one.authenticate(clients.workspace), await two.authenticate(clients.workspace)
    assert first["data"]["session_id"] != second["data"]["session_id"]


@pytest.mark.parametrize("connection_type", ["chat", "tasks", "agents", "graph"])
async def test_connection_types(clients: Clients, connection_type: str) -> None:
    await clients.connected(connection_type=connection_type)


async def test_unknown_extra_fields_are_ignored(clients: Clients) -> None:
    client = await clients.open()
    data = {
        "api_key": clients.target.api_key,
        "connection_type": "chat",
        "domain": "tests",
        "workspace": clients.workspace,
        "colour": {"deep": [1, 2, 3]},
    }
    await client.send_frame({"type": "connect", "data": data, "version": 7})
    await client.expect("connection_success")


@pytest.mark.parametrize(
    "api_key",
    ["wrong", "", "tw_live_abcdefgh_0123456789", "tw_test_", "valid-test-key ", "Valid-Test-Key", "ключ", "k" * 4000],
)
async def test_bad_key(clients: Clients, api_key: str) -> None:
    client = await clients.open()
    frame_id = await client.send_connect(clients.workspace, api_key=api_key)
    await client.expect_error("invalid_key", 403, frame_id=frame_id, message="Invalid API key")
    await client.expect_goodbye(4000, "Invalid API key")


async def test_expired_development_key(clients: Clients) -> None:
    client = await clients.open()
    frame_id = await client.send_connect(clients.workspace, api_key="expired-test-key")
    await client.expect_error("token_expired", 403, frame_id=frame_id, message="Token expired")
    await client.expect_goodbye(4000, "Token expired")


async def test_key_for_another_workspace_is_not_allowed(clients: Clients, make_key: Callable[..., MadeKey]) -> None:
    key = make_key(workspaces=["elsewhere"])
    client = await clients.open()
    frame_id = await client.send_connect(clients.workspace, api_key=key.api_key)
    await client.expect_error("permission_denied", 403, frame_id=frame_id)


async def test_key_for_another_domain_is_not_allowed(clients: Clients, make_key: Callable[..., MadeKey]) -> None:
    key = make_key(domains=["elsewhere"])
    client = await clients.open()
    frame_id = await client.send_connect(clients.workspace, api_key=key.api_key)
    await client.expect_error("permission_denied", 403, frame_id=frame_id)


BAD_CONNECTS: dict[str, dict[str, Any]] = {
    "api_key missing": {"api_key": None},
    "api_key a number": {"api_key": 7},
    "connection_type missing": {"connection_type": None},
    "connection_type unknown": {"connection_type": "email"},
    "domain missing": {"domain": None},
    "domain with a slash": {"domain": "a/b"},
    "domain too long": {"domain": "d" * 65},
    "workspace empty": {"workspace": ""},
    "workspace a list": {"workspace": ["w"]},
    "resume no list": {"resume": {"channel": "a"}},
    "resume with a negative offset": {"resume": [{"channel": "a", "epoch": "e", "offset": -1}]},
}


@pytest.mark.parametrize("wrong", BAD_CONNECTS.values(), ids=list(BAD_CONNECTS))
async def test_connect_with_a_bad_field_stays_open_and_may_be_repeated(clients: Clients, wrong: dict[str, Any]) -> None:
    client = await clients.open()
    data = {
        "api_key": clients.target.api_key,
        "connection_type": "chat",
        "domain": "tests",
        "workspace": clients.workspace,
    }
    bad = {name: value for name, value in {**data, **wrong}.items() if value is not None}
    frame_id = await client.send("connect", bad)
    error = await client.expect_error("invalid_format", 400, frame_id=frame_id)
    assert next(iter(wrong)) in error["data"]["message"]
    await client.authenticate(clients.workspace)


@pytest.mark.parametrize("data", [None, [], "text", 5])
async def test_connect_without_an_object_stays_open(clients: Clients, data: Any) -> None:
    client = await clients.open()
    frame_id = await client.send("connect", data)
    await client.expect_error("invalid_format", 400, frame_id=frame_id)
    await client.authenticate(clients.workspace)


@pytest.mark.parametrize("frame_type", [*sorted(set(CLIENT_FRAMES) - {"connect", "disconnect"}), "made_up"])
async def test_any_other_frame_before_connect(clients: Clients, frame_type: str) -> None:
    client = await clients.open()
    frame = GOLDEN_CLIENT_FRAMES.get(frame_type, {"type": frame_type})
    await client.send_frame({**frame, "id": "too-early"})
    await client.expect_error("not_authenticated", 401, frame_id="too-early")
    await client.expect_goodbye(4003)


async def test_second_connect(clients: Clients) -> None:
    client = await clients.connected()
    frame_id = await client.send_connect(clients.workspace)
    await client.expect_error("already_authenticated", 409, frame_id=frame_id)
    await client.expect_goodbye(4003)


async def test_second_connect_even_with_a_bad_key(clients: Clients) -> None:
    client = await clients.connected()
    frame_id = await client.send_connect(clients.workspace, api_key="wrong")
    await client.expect_error("already_authenticated", 409, frame_id=frame_id)
    await client.expect_goodbye(4003)


async def test_client_asks_to_disconnect(clients: Clients) -> None:
    client = await clients.connected()
    frame_id = await client.send("disconnect")
    goodbye = await client.expect_goodbye(1000)
    assert goodbye["id"] == frame_id


async def test_client_asks_to_disconnect_with_data(clients: Clients) -> None:
    client = await clients.connected()
    await client.send("disconnect", {"reason": "lunch"})
    await client.expect_goodbye(1000)


async def test_client_closes_with_a_close_frame(clients: Clients) -> None:
    client = await clients.connected()
    await client.socket.close(1000)
    assert client.socket.close_code == 1000


async def test_being_authenticated_survives_what_does_not_close(clients: Clients) -> None:
    client = await clients.connected()
    channel = new_name("room")
    await client.join(channel)
    await client.publish(channel, "hello")
    await client.take("chat_message")
    await client.send("agent_status", {"status": "busy"}, channel=channel)
    await client.take("agent_status")
    await client.take("message_delivered")
    await client.send("join_channel", {"channel": channel})
    await client.expect_error("channel_error", 409)
    await client.send("leave_channel", {"channel": channel})
    await client.expect("message_delivered")
    await client.expect("unsubscription_success")
    await client.assert_open()


async def test_new_connection_authenticates_again(clients: Clients) -> None:
    await clients.connected("carol")
    again = await clients.open("carol")
    await again.send("ping")
    await again.expect_error("not_authenticated", 401)
    await again.expect_goodbye(4003)


async def test_frames_may_follow_connect_at_once(clients: Clients) -> None:
    """A client need not wait for the answer: frames are handled in their order."""
    client = await clients.open()
    await client.send_connect(clients.workspace)
    frame_id = await client.send("ping")
    await client.expect("connection_success")
    await client.expect("message_delivered")
    await client.expect("pong", frame_id=frame_id)
