"""protocol.md, "Frames of a client": join_channel, leave_channel, presence; and the row `channel_error`."""

from __future__ import annotations

import pytest

from tests.support.protocol_client import Clients, ProtocolClient, contents, new_name

pytestmark = pytest.mark.integration

BAD_NAMES = {
    "empty": "",
    "129 characters": "c" * 129,
    "a space": "a b",
    "the workspace's broadcasts": "*",
    "an inbox": "@alice",
    "not ASCII": "kanał",
    "a line break": "a\n",
    "a percent sign": "a%b",
}


async def last_members(client: ProtocolClient, channel: str) -> set[str]:
    await client.send("presence", {"channel": channel})
    answer = await client.take("presence")
    return {member["client_id"] for member in answer["data"]["members"]}


@pytest.mark.parametrize("channel", ["a", "c" * 128, "a/b/c", "thread:1", "a.b-c_d:e/f@g#h", "#general"])
async def test_names_that_are_allowed(clients: Clients, channel: str) -> None:
    client = await clients.connected()
    joined = await client.join(channel)
    assert joined["data"]["offset"] == 0
    assert joined["data"]["epoch"]


@pytest.mark.parametrize("channel", BAD_NAMES.values(), ids=list(BAD_NAMES))
@pytest.mark.parametrize("frame_type", ["join_channel", "presence"])
async def test_bad_names(clients: Clients, frame_type: str, channel: str) -> None:
    client = await clients.connected()
    frame_id = await client.send(frame_type, {"channel": channel})
    await client.expect_refusal("channel_error", 400, frame_id=frame_id)


async def test_join_twice(clients: Clients) -> None:
    channel = new_name("room")
    client = await clients.member(channel)
    frame_id = await client.send("join_channel", {"channel": channel})
    await client.expect_refusal("channel_error", 409, frame_id=frame_id)
    await client.publish(channel, "still a member")
    await client.take("chat_message")


async def test_join_twice_without_waiting(clients: Clients) -> None:
    channel = new_name("room")
    client = await clients.connected()
    first = await client.send("join_channel", {"channel": channel})
    second = await client.send("join_channel", {"channel": channel})
    await client.take("subscription_success", frame_id=first)
    error = await client.take("error", frame_id=second)
    assert error["data"]["code"] == 409


async def test_leave(clients: Clients) -> None:
    channel = new_name("room")
    client = await clients.member(channel)
    frame_id = await client.send("leave_channel", {"channel": channel})
    await client.expect("message_delivered", frame_id=frame_id, original_type="leave_channel", status="success")
    await client.expect("unsubscription_success", frame_id=frame_id, channel=channel)


async def test_nothing_of_a_channel_comes_after_leaving_it(clients: Clients) -> None:
    channel = new_name("room")
    stays, leaves = await clients.member(channel), await clients.member(channel)
    await leaves.send("leave_channel", {"channel": channel})
    await leaves.take("unsubscription_success")
    await leaves.take("message_delivered")
    await stays.publish(channel, "unheard")
    await stays.take("chat_message")
    await leaves.assert_open()


async def test_leave_without_being_a_member(clients: Clients) -> None:
    client = await clients.connected()
    frame_id = await client.send("leave_channel", {"channel": new_name("room")})
    await client.expect_refusal("channel_error", 404, frame_id=frame_id)


async def test_leave_twice(clients: Clients) -> None:
    channel = new_name("room")
    client = await clients.member(channel)
    await client.send("leave_channel", {"channel": channel})
    await client.take("unsubscription_success")
    await client.take("message_delivered")
    frame_id = await client.send("leave_channel", {"channel": channel})
    await client.expect_refusal("channel_error", 404, frame_id=frame_id)


async def test_join_again_after_leaving(clients: Clients) -> None:
    channel = new_name("room")
    client = await clients.member(channel)
    await client.send("leave_channel", {"channel": channel})
    await client.take("unsubscription_success")
    await client.take("message_delivered")
    await client.join(channel)
    await client.publish(channel, "back")
    await client.take("chat_message")


async def test_join_with_the_last_messages(clients: Clients) -> None:
    channel = new_name("room")
    writer = await clients.member(channel)
    for number in range(5):
        await writer.publish(channel, number)
    reader = await clients.connected()
    joined = await reader.join(channel, history=3)
    assert joined["data"]["offset"] == 5
    missed = [await reader.expect("chat_message", channel=channel) for _ in range(3)]
    assert contents(missed) == [2, 3, 4]
    await writer.publish(channel, 5)
    assert contents([await reader.expect("chat_message")]) == [5]


async def test_join_with_more_history_than_there_is(clients: Clients) -> None:
    channel = new_name("room")
    writer = await clients.member(channel)
    await writer.publish(channel, "only")
    reader = await clients.connected()
    await reader.join(channel, history=1000)
    assert contents([await reader.expect("chat_message")]) == ["only"]
    await reader.assert_open()


async def test_join_is_exact_at_its_offset(clients: Clients) -> None:
    """Live messages begin with the offset after the one that the join names, while others publish all the time."""
    channel = new_name("room")
    writer = await clients.member(channel)
    ids = [await writer.send("chat_message", {"content": n}, channel=channel) for n in range(50)]
    reader = await clients.connected()
    joined = await reader.join(channel)
    for frame_id in ids:
        await writer.confirmation(frame_id, "chat_message")
    last = await writer.publish(channel, "end")
    expected = list(range(joined["data"]["offset"] + 1, last["offset"] + 1))
    assert [(await reader.expect("chat_message"))["offset"] for _ in expected] == expected


async def test_presence_lists_members_once_each(clients: Clients) -> None:
    channel = new_name("room")
    alice = await clients.member(channel, "alice")
    await clients.member(channel, "bob")
    await clients.member(channel, "bob")
    assert await last_members(alice, channel) == {"alice", "bob"}
    frame_id = await alice.send("presence", {"channel": channel})
    answer = await alice.expect("presence", frame_id=frame_id, channel=channel)
    assert len(answer["data"]["members"]) == 2
    assert {member["connection_type"] for member in answer["data"]["members"]} == {"chat"}


async def test_presence_of_an_empty_channel(clients: Clients) -> None:
    client = await clients.connected()
    assert await last_members(client, new_name("room")) == set()


async def test_presence_without_being_a_member(clients: Clients) -> None:
    channel = new_name("room")
    await clients.member(channel, "alice")
    outsider = await clients.connected()
    assert await last_members(outsider, channel) == {"alice"}


async def test_presence_updates_come_to_who_asked(clients: Clients) -> None:
    channel = new_name("room")
    asked = await clients.member(channel, "watcher", presence=True)
    did_not = await clients.member(channel, "other")
    await asked.expect("presence_update", event="join", channel=channel)
    guest = await clients.member(channel, "guest")
    came = await asked.expect("presence_update", event="join")
    assert came["data"]["member"]["client_id"] == "guest"
    await guest.send("leave_channel", {"channel": channel})
    await guest.take("unsubscription_success")
    went = await asked.expect("presence_update", event="leave")
    assert went["data"]["member"]["client_id"] == "guest"
    await did_not.assert_open()


async def test_presence_goes_with_the_connection(clients: Clients) -> None:
    channel = new_name("room")
    watcher = await clients.member(channel, "watcher", presence=True)
    guest = await clients.member(channel, "guest")
    await watcher.expect("presence_update", event="join")
    await guest.close()
    went = await watcher.expect("presence_update", event="leave")
    assert went["data"]["member"]["client_id"] == "guest"
    assert await last_members(watcher, channel) == {"watcher"}


async def test_client_with_two_connections_leaves_with_the_last(clients: Clients) -> None:
    channel = new_name("room")
    watcher = await clients.member(channel, "watcher", presence=True)
    first = await clients.member(channel, "twice")
    await watcher.expect("presence_update", event="join")
    second = await clients.member(channel, "twice")
    await first.close()
    await watcher.assert_open()
    assert await last_members(watcher, channel) == {"watcher", "twice"}
    await second.close()
    await watcher.expect("presence_update", event="leave")
