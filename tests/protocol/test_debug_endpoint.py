"""protocol.md, `GET /debug/client_{client_id}`: the same protocol, and besides it echoes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.frame_catalogue import MESSAGE_TYPES
from tests.support.protocol_client import Clients, ProtocolClient, new_name
from tests.support.services import Gateway
from tests.support.target import Target

pytestmark = pytest.mark.integration


@pytest.fixture
async def debug_clients(target: Target) -> AsyncIterator[Clients]:
    if not target.has_debug:
        pytest.skip("the debug endpoint is off there")
    async with Clients(target, debug=True) as made:
        yield made


@pytest.mark.parametrize("data", [{"x": [1, 2]}, {}, {"content": "ü👋"}], ids=str)
async def test_unknown_type_comes_back_and_is_confirmed(debug_clients: Clients, data: dict[str, Any]) -> None:
    client = await debug_clients.connected()
    frame_id = await client.send("made_up", data)
    echo = await client.expect("made_up", frame_id=frame_id)
    assert echo["data"] == data
    assert echo["client_id"] == client.client_id
    assert echo["timestamp"]
    await client.expect("message_delivered", frame_id=frame_id, original_type="made_up", status="success")


async def test_what_the_client_says_of_itself_is_replaced(debug_clients: Clients) -> None:
    client = await debug_clients.connected()
    await client.send("made_up", {}, client_id="other", timestamp="1999-01-01T00:00:00.000Z")
    echo = await client.expect("made_up")
    assert echo["client_id"] == client.client_id
    assert not echo["timestamp"].startswith("1999")


@pytest.mark.parametrize("frame_type", MESSAGE_TYPES)
async def test_message_without_a_channel_comes_back_and_is_confirmed(debug_clients: Clients, frame_type: str) -> None:
    client = await debug_clients.connected()
    frame_id = await client.send(frame_type, {"content": "to nobody"})
    echo = await client.expect(frame_type, frame_id=frame_id, content="to nobody")
    assert "offset" not in echo
    await client.expect("message_delivered", frame_id=frame_id, original_type=frame_type, status="success")


async def test_message_with_a_channel_is_published(debug_clients: Clients) -> None:
    channel = new_name("room")
    client = await debug_clients.member(channel)
    assert (await client.publish(channel, "real"))["offset"] == 1
    assert (await client.take("chat_message"))["offset"] == 1


async def test_both_endpoints_share_channels(debug_clients: Clients, plain_clients: Clients) -> None:
    channel = new_name("room")
    tool = await debug_clients.member(channel)
    user = await plain_clients.connected(workspace=debug_clients.workspace)
    await user.join(channel)
    await tool.publish(channel, "hello")
    assert (await user.expect("chat_message"))["data"]["content"] == "hello"


async def test_unknown_type_before_connect_is_no_echo(debug_clients: Clients) -> None:
    client = await debug_clients.open()
    await client.send("made_up")
    await client.expect_error("not_authenticated", 401)
    await client.expect_goodbye(4003)


async def test_can_be_switched_off(gateway: Gateway, clients_of: Callable[..., Clients]) -> None:
    edge = gateway.another_edge("no-debug", debug_endpoint=False)
    target = Target.of(gateway, edge)
    with pytest.raises(InvalidStatus) as refused:
        await ProtocolClient.open(target, "tool", debug=True)
    assert refused.value.response.status_code == 404
    await clients_of(target).connected()
