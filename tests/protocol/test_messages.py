"""protocol.md: the message frames, direct_message, broadcast, and "What the frames promise"."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.frame_catalogue import MESSAGE_TYPES
from tests.support.golden import golden_frames
from tests.support.protocol_client import Clients, contents, new_name

pytestmark = pytest.mark.integration

GOLDEN_DATA = {
    g.frame["type"]: g.frame["data"] for g in golden_frames() if g.direction == "client" and "data" in g.frame
}


@pytest.mark.parametrize("frame_type", MESSAGE_TYPES)
async def test_message_reaches_every_member_and_is_confirmed(clients: Clients, frame_type: str) -> None:
    channel = new_name("room")
    alice, bob = await clients.member(channel, "alice"), await clients.member(channel, "bob")
    frame_id = await alice.send(frame_type, GOLDEN_DATA[frame_type], channel=channel)
    confirmation = await alice.confirmation(frame_id, frame_type)
    assert confirmation["channel"] == channel
    assert confirmation["data"]["channel"] == channel
    for client in (alice, bob):
        message = await client.take(frame_type)
        assert message["data"] == GOLDEN_DATA[frame_type]
        assert message["client_id"] == "alice"
        assert message["channel"] == channel
        assert message["id"] == frame_id
        assert (message["epoch"], message["offset"]) == (confirmation["epoch"], confirmation["offset"])
    await bob.assert_open()


@pytest.mark.parametrize(
    "content",
    ["", "ü 世界 👋 \u0000 \u2028", 0, -1.5, 1e300, 2**53, True, None, [], {}, {"a": {"b": [1, {"c": None}]}}],
    ids=repr,
)
async def test_content_may_be_any_json(clients: Clients, content: Any) -> None:
    channel = new_name("room")
    client = await clients.member(channel)
    await client.publish(channel, content)
    assert (await client.take("chat_message"))["data"] == {"content": content}


async def test_data_stays_the_bytes_that_the_sender_sent(clients: Clients) -> None:
    """Numbers that no double holds, doubled keys and blanks go through unchanged."""
    channel = new_name("room")
    client = await clients.member(channel)
    data = '{ "content":12345678901234567890123,  "a":1.0,"a":2e0, "s":"\\u00fc" }'
    await client.send_text(f'{{"type":"chat_message","id":"raw","channel":{json.dumps(channel)},"data":{data}}}')
    seen = ""
    while data not in seen:
        seen = str(await client.socket.recv())
    assert json.loads(seen)["type"] == "chat_message"


@pytest.mark.parametrize("frame_type", ["chat_message", "channel_message"])
async def test_content_is_required(clients: Clients, frame_type: str) -> None:
    channel = new_name("room")
    client = await clients.member(channel)
    frame_id = await client.send(frame_type, {"text": "oops"}, channel=channel)
    await client.expect_refusal("message_error", 400, frame_id=frame_id)


@pytest.mark.parametrize("frame_type", ["task_update", "agent_status", "graph_update"])
async def test_content_is_not_required_of_others(clients: Clients, frame_type: str) -> None:
    channel = new_name("room")
    client = await clients.member(channel)
    frame_id = await client.send(frame_type, {}, channel=channel)
    await client.confirmation(frame_id, frame_type)


@pytest.mark.parametrize("thread_id", ["", "a b", "t" * 65])
async def test_bad_thread_id(clients: Clients, thread_id: str) -> None:
    channel = new_name("room")
    client = await clients.member(channel)
    frame_id = await client.send("chat_message", {"content": "x", "thread_id": thread_id}, channel=channel)
    await client.expect_refusal("message_error", 400, frame_id=frame_id)


async def test_too_large_a_message(clients: Clients) -> None:
    channel = new_name("room")
    client = await clients.member(channel)
    frame_id = await client.send("chat_message", {"content": "x" * 61_500}, channel=channel)
    await client.expect_refusal("message_error", 413, frame_id=frame_id)


@pytest.mark.parametrize("frame_type", MESSAGE_TYPES)
async def test_publishing_needs_membership(clients: Clients, frame_type: str) -> None:
    client = await clients.connected()
    frame_id = await client.send(frame_type, GOLDEN_DATA[frame_type], channel=new_name("room"))
    await client.expect_refusal("channel_error", 404, frame_id=frame_id)


@pytest.mark.parametrize("channel", ["", "a b", "*", "@alice", "c" * 129])
async def test_publishing_to_a_bad_name(clients: Clients, channel: str) -> None:
    client = await clients.connected()
    frame_id = await client.send("chat_message", {"content": "x"}, channel=channel)
    await client.expect_refusal("channel_error", 400, frame_id=frame_id)


async def test_message_without_a_channel(plain_clients: Clients) -> None:
    client = await plain_clients.connected()
    frame_id = await client.send("chat_message", {"content": "x"})
    await client.expect_refusal("channel_error", 400, frame_id=frame_id)


@pytest.mark.parametrize("data", [None, [], "text"], ids=str)
async def test_message_needs_an_object(clients: Clients, data: Any) -> None:
    channel = new_name("room")
    client = await clients.member(channel)
    frame_id = await client.send("chat_message", data, channel=channel)
    await client.expect_bad_field(frame_id)


async def test_message_without_an_id_gets_one(clients: Clients) -> None:
    channel = new_name("room")
    client = await clients.member(channel)
    await client.send("chat_message", {"content": "x"}, channel=channel, id=None)
    confirmation = await client.take("message_delivered")
    message = await client.take("chat_message")
    assert message["id"]
    assert confirmation["data"]["id"] == message["id"]
    assert confirmation["data"]["offset"] == message["offset"]


async def test_offsets_count_from_one_without_a_gap(clients: Clients) -> None:
    channel = new_name("room")
    client = await clients.member(channel)
    offsets = [(await client.publish(channel, number))["offset"] for number in range(10)]
    assert offsets == list(range(1, 11))


async def test_every_member_sees_the_same_order(clients: Clients) -> None:
    channel = new_name("room")
    everyone = [await clients.member(channel) for _ in range(4)]
    sent = [
        (client, await client.send("chat_message", {"content": [index, number]}, channel=channel))
        for number in range(20)
        for index, client in enumerate(everyone)
    ]
    for client, frame_id in sent:
        await client.confirmation(frame_id, "chat_message")
    orders = [[await client.take("chat_message") for _ in sent] for client in everyone]
    assert [frame["offset"] for frame in orders[0]] == list(range(1, len(sent) + 1))
    assert all(order == orders[0] for order in orders)
    for index in range(4):
        assert [c[1] for c in contents(orders[0]) if c[0] == index] == list(range(20))


async def test_same_id_twice_is_stored_once(clients: Clients) -> None:
    channel = new_name("room")
    alice, bob = await clients.member(channel), await clients.member(channel)
    first = await alice.publish(channel, "once", id="same")
    again = await alice.publish(channel, "once", id="same")
    assert again["data"] == first["data"]
    last = await alice.publish(channel, "end", id="other")
    assert last["offset"] == first["offset"] + 1
    assert contents([await bob.expect("chat_message") for _ in range(2)]) == ["once", "end"]


async def test_same_id_from_another_connection_of_the_client_is_stored_once(clients: Clients) -> None:
    """What a client does after a reconnect: it repeats what was not confirmed."""
    channel = new_name("room")
    before = await clients.member(channel, "dora")
    first = await before.publish(channel, "once", id="same")
    await before.close()
    after = await clients.member(channel, "dora")
    assert (await after.publish(channel, "once", id="same"))["offset"] == first["offset"]


async def test_same_id_of_another_client_or_channel_is_another_message(clients: Clients) -> None:
    one, two = new_name("room"), new_name("room")
    alice, bob = await clients.member(one), await clients.member(one)
    await alice.join(two)
    assert (await alice.publish(one, "a", id="same"))["offset"] == 1
    assert (await bob.publish(one, "b", id="same"))["offset"] == 2
    assert (await alice.publish(two, "c", id="same"))["offset"] == 1


async def test_direct_message_to_every_connection_of_its_addressee(clients: Clients) -> None:
    alice = await clients.connected("alice")
    bobs = [await clients.connected("bob"), await clients.connected("bob")]
    carol = await clients.connected("carol")
    data = {"to": "bob", "content": "psst", "more": [1]}
    frame_id = await alice.send("direct_message", data)
    await alice.confirmation(frame_id, "direct_message")
    for bob in bobs:
        message = await bob.expect("direct_message", channel="@bob")
        assert message["data"] == data
        assert message["client_id"] == "alice"
        assert message["id"] == frame_id
        assert message["offset"] == 1
        assert message["epoch"]
    await carol.assert_open()
    await alice.assert_open()


async def test_direct_message_to_oneself(clients: Clients) -> None:
    client = await clients.connected("eve")
    frame_id = await client.send("direct_message", {"to": "eve", "note": 1})
    await client.confirmation(frame_id, "direct_message")
    await client.take("direct_message")


async def test_direct_message_is_kept_for_the_return_of_its_addressee(clients: Clients) -> None:
    alice = await clients.connected("alice")
    for number in range(3):
        frame_id = await alice.send("direct_message", {"to": "late", "content": number})
        await alice.confirmation(frame_id, "direct_message")
    late = await clients.connected("late")
    assert contents([await late.expect("direct_message") for _ in range(3)]) == [0, 1, 2]
    await late.assert_open()


async def test_direct_message_comes_again_until_it_is_acknowledged(clients: Clients) -> None:
    alice = await clients.connected("alice")
    frame_id = await alice.send("direct_message", {"to": "late", "content": "again"})
    await alice.confirmation(frame_id, "direct_message")
    for _ in range(2):
        late = await clients.connected("late")
        message = await late.expect("direct_message")
        await late.close()
    late = await clients.connected("late")
    message = await late.expect("direct_message")
    await late.send("ack", {"channel": "@late", "epoch": message["epoch"], "offset": message["offset"]})
    await late.send("disconnect")
    await late.expect_goodbye(1000)
    late = await clients.connected("late")
    await late.assert_open()


@pytest.mark.parametrize("to", ["", "a b", "x" * 65, "@bob"])
async def test_direct_message_to_nobody(clients: Clients, to: str) -> None:
    client = await clients.connected()
    frame_id = await client.send("direct_message", {"to": to})
    await client.expect_refusal("message_error", 400, frame_id=frame_id)


async def test_same_id_of_a_direct_message_is_stored_once(clients: Clients) -> None:
    alice, bob = await clients.connected("alice"), await clients.connected("bob")
    offsets = []
    for _ in range(2):
        await alice.send("direct_message", {"to": "bob"}, id="same")
        offsets.append((await alice.confirmation("same", "direct_message"))["offset"])
    assert offsets == [1, 1]
    await bob.expect("direct_message")
    await bob.assert_open()


async def test_broadcast_reaches_every_connection_of_the_workspace(clients: Clients) -> None:
    alice, bob, carol = [await clients.connected() for _ in range(3)]
    await carol.join(new_name("room"))
    data = {"content": "fire drill"}
    frame_id = await alice.send("broadcast", data)
    confirmation = await alice.confirmation(frame_id, "broadcast")
    for client in (alice, bob, carol):
        message = await client.take("broadcast")
        assert message["data"] == data
        assert message["channel"] == "*"
        assert message["client_id"] == alice.client_id
        assert (message["epoch"], message["offset"]) == (confirmation["epoch"], confirmation["offset"])


@pytest.mark.parametrize("other", [{"domain": "elsewhere"}, {"workspace": "elsewhere"}], ids=str)
async def test_nothing_crosses_from_one_workspace_to_another(clients: Clients, other: dict[str, str]) -> None:
    channel = new_name("room")
    here = await clients.member(channel, "alice")
    there = await clients.connected("bob", **{"workspace": clients.workspace, **other})
    await there.join(channel)
    await here.publish(channel, "here")
    await here.take("chat_message")
    for frame_type, data in [("direct_message", {"to": "bob"}), ("broadcast", {"content": "here"})]:
        frame_id = await here.send(frame_type, data)
        await here.confirmation(frame_id, frame_type)
    assert (await there.publish(channel, "there"))["offset"] == 1
    assert contents([await there.take("chat_message")]) == ["there"]
    await there.send("presence", {"channel": channel})
    assert [m["client_id"] for m in (await there.expect("presence"))["data"]["members"]] == ["bob"]
    await there.send("history", {"channel": channel})
    assert contents((await there.expect("history"))["data"]["messages"]) == ["there"]
    await there.assert_open()
